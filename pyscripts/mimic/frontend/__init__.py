"""From waveforms to features: STFT, fbank, MFCC, log-mel, CMVN, SSL features."""
