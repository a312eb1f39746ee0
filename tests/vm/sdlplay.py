# SPDX-License-Identifier: BSD-3-Clause
"""A player that is an SDL application: sdlplay.py FILE.wav, to SDL's default device.

SDL_AUDIODRIVER in the environment says by which of SDL's drivers. Exit status 77: there is no SDL.
"""

import ctypes
import sys
import time

AUDIO = 0x10


class Spec(ctypes.Structure):
    _fields_ = [("freq", ctypes.c_int), ("format", ctypes.c_uint16), ("channels", ctypes.c_uint8),
                ("silence", ctypes.c_uint8), ("samples", ctypes.c_uint16),
                ("padding", ctypes.c_uint16), ("size", ctypes.c_uint32),
                ("callback", ctypes.c_void_p), ("userdata", ctypes.c_void_p)]


def load():
    try:
        sdl = ctypes.CDLL("libSDL2-2.0.so.0")
    except OSError as e:
        print(f"no SDL: {e}")
        sys.exit(77)
    for name in ("SDL_GetError", "SDL_GetCurrentAudioDriver"):
        getattr(sdl, name).restype = ctypes.c_char_p
    for name in ("SDL_RWFromFile", "SDL_LoadWAV_RW"):
        getattr(sdl, name).restype = ctypes.c_void_p
    sdl.SDL_LoadWAV_RW.argtypes = [ctypes.c_void_p, ctypes.c_int] + [ctypes.c_void_p] * 3
    sdl.SDL_QueueAudio.argtypes = [ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32]
    return sdl


def need(sdl, good, what):
    if not good:
        sys.exit(f"{what}: {sdl.SDL_GetError().decode()}")


def play(sdl, path):
    spec, data, size = Spec(), ctypes.c_void_p(), ctypes.c_uint32()
    file = sdl.SDL_RWFromFile(path.encode(), b"rb")
    need(sdl, file and sdl.SDL_LoadWAV_RW(file, 1, ctypes.byref(spec), ctypes.byref(data),
                                          ctypes.byref(size)), path)
    device = sdl.SDL_OpenAudioDevice(None, 0, ctypes.byref(spec), None, 0)
    need(sdl, device, "SDL's default device")
    need(sdl, sdl.SDL_QueueAudio(device, data, size) == 0, "SDL's queue")
    sdl.SDL_PauseAudioDevice(device, 0)
    limit = time.monotonic() + 60 + 4 * size.value / (spec.freq * spec.channels * 2)
    while sdl.SDL_GetQueuedAudioSize(device):
        if time.monotonic() > limit:
            sys.exit(f"{sdl.SDL_GetQueuedAudioSize(device)} of {size.value} bytes were not taken")
        time.sleep(0.02)
    sdl.SDL_CloseAudioDevice(device)


def main():
    sdl = load()
    need(sdl, sdl.SDL_Init(AUDIO) == 0, "SDL")
    print(f"SDL's driver: {sdl.SDL_GetCurrentAudioDriver().decode()}")
    play(sdl, sys.argv[1])
    sdl.SDL_Quit()


if __name__ == "__main__":
    main()
