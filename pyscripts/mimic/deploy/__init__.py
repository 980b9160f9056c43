"""Enhance and transcribe files and folders, streams, captions, the local page, ONNX."""
