"""espeak-ng through ctypes, the same samples on every run.

What a process has spoken before changes what it speaks next, and espeak-ng 1.52 seeds its random numbers from the
clock. So each sentence is spoken by a forked child of its own, with a fixed seed.
"""

import ctypes
import ctypes.util
import os
import signal

import numpy as np
from voices import Voice

from mimic.errors import UserError

# Values of speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000
CHARS_UTF8 = 1
RATE, VOLUME, PITCH = 1, 2, 3
# At the usual volume of 100 some voices are clipped by espeak-ng itself.
QUIET = 40
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The library, loaded once and never spoken with in this process. `rate`: Hz of the samples."""

    def __init__(self) -> None:
        """Load the library of the wheel espeakng-loader, or the system's. Raises UserError where there is none."""
        library, data = find_library()
        try:
            self.lib = ctypes.CDLL(library)
            self.rate = self.lib.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data, INITIALIZE_DONT_EXIT)
        except (OSError, AttributeError) as error:
            raise UserError(f"{library}: cannot be used ({error}): reinstall it") from None
        if self.rate <= 0:
            raise UserError(f"{library}: espeak-ng finds no voices: reinstall its data (espeak-ng-data)")

    def speak(self, text: str, voice: Voice, pitch: int, rate: int, seed: int) -> np.ndarray:
        """Speak `text`: samples (samples,) int16 at `self.rate` Hz. Raises UserError when espeak-ng cannot."""
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(read_end)
                with os.fdopen(write_end, "wb") as pipe:
                    pipe.write(self._synthesise(text, f"{voice.accent}+{voice.variant}", pitch, rate, seed))
                code = 0
            finally:
                os._exit(code)  # neither the parent's clean-up nor a traceback of this child
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            samples = np.frombuffer(pipe.read(), dtype=np.int16)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code or not len(samples):
            reason = signal.Signals(-code).name if code < 0 else "it has no such voice"
            raise UserError(f"espeak-ng cannot speak as {voice.accent}+{voice.variant} ({reason}): use version 1.51+")
        return samples

    def seed(self, seed: int) -> None:
        """Older versions draw from the C library, newer ones from their own generator."""
        ctypes.CDLL(None).srand(seed)
        if hasattr(self.lib, "espeak_ng_SetRandSeed"):
            self.lib.espeak_ng_SetRandSeed(ctypes.c_long(seed))

    def _synthesise(self, text: str, name: str, pitch: int, rate: int, seed: int) -> bytes:
        chunks: list[bytes] = []

        @CALLBACK
        def collect(samples, count, _events):
            if samples and count > 0:
                chunks.append(ctypes.string_at(samples, 2 * count))
            return 0

        self.seed(seed)
        self.lib.espeak_SetSynthCallback(collect)
        if self.lib.espeak_SetVoiceByName(name.encode()):
            raise ValueError(name)
        for parameter, value in ((RATE, rate), (VOLUME, QUIET), (PITCH, pitch)):
            self.lib.espeak_SetParameter(parameter, value, 0)
        data = text.encode() + b"\0"
        self.lib.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 0, 0, CHARS_UTF8, None, None)
        self.lib.espeak_Synchronize()
        return b"".join(chunks)


def find_library() -> tuple[str, bytes | None]:
    """Give the path of the library and of its data (None: where the library looks by itself)."""
    try:
        import espeakng_loader

        return espeakng_loader.get_library_path(), espeakng_loader.get_data_path().encode()
    except (ImportError, RuntimeError):
        pass
    system = ctypes.util.find_library("espeak-ng")
    if system is None:
        raise UserError("no espeak-ng: pip install espeakng-loader, or install your system's libespeak-ng1")
    return system, None
