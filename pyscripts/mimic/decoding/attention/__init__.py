"""Joint search over an attention decoder and CTC."""
