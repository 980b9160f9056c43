"""CTC, spectral, mimic, waveform and STOI losses."""
