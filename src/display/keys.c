// SPDX-License-Identifier: BSD-3-Clause
#include "display/keys.h"

#include <linux/input-event-codes.h>

#include "common/util.h"

/* clang-format off */

/* HID Usage Tables, 10: Keyboard/Keypad Page (0x07) */
static const uint8_t by_usage[] = {
	[0x04] = KEY_A, KEY_B, KEY_C, KEY_D, KEY_E, KEY_F, KEY_G, KEY_H, KEY_I, KEY_J, KEY_K, KEY_L,
	KEY_M, KEY_N, KEY_O, KEY_P, KEY_Q, KEY_R, KEY_S, KEY_T, KEY_U, KEY_V, KEY_W, KEY_X, KEY_Y,
	KEY_Z, KEY_1, KEY_2, KEY_3, KEY_4, KEY_5, KEY_6, KEY_7, KEY_8, KEY_9, KEY_0,
	[0x28] = KEY_ENTER, KEY_ESC, KEY_BACKSPACE, KEY_TAB, KEY_SPACE, KEY_MINUS, KEY_EQUAL,
	KEY_LEFTBRACE, KEY_RIGHTBRACE, KEY_BACKSLASH, KEY_BACKSLASH, KEY_SEMICOLON, KEY_APOSTROPHE,
	KEY_GRAVE, KEY_COMMA, KEY_DOT, KEY_SLASH, KEY_CAPSLOCK,
	[0x3a] = KEY_F1, KEY_F2, KEY_F3, KEY_F4, KEY_F5, KEY_F6, KEY_F7, KEY_F8, KEY_F9, KEY_F10,
	KEY_F11, KEY_F12, KEY_SYSRQ, KEY_SCROLLLOCK, KEY_PAUSE, KEY_INSERT, KEY_HOME, KEY_PAGEUP,
	KEY_DELETE, KEY_END, KEY_PAGEDOWN, KEY_RIGHT, KEY_LEFT, KEY_DOWN, KEY_UP,
	[0x53] = KEY_NUMLOCK, KEY_KPSLASH, KEY_KPASTERISK, KEY_KPMINUS, KEY_KPPLUS, KEY_KPENTER,
	KEY_KP1, KEY_KP2, KEY_KP3, KEY_KP4, KEY_KP5, KEY_KP6, KEY_KP7, KEY_KP8, KEY_KP9, KEY_KP0,
	KEY_KPDOT, KEY_102ND, KEY_COMPOSE, KEY_POWER, KEY_KPEQUAL,
	[0x68] = KEY_F13, KEY_F14, KEY_F15, KEY_F16, KEY_F17, KEY_F18, KEY_F19, KEY_F20, KEY_F21,
	KEY_F22, KEY_F23, KEY_F24,
	[0x7f] = KEY_MUTE, KEY_VOLUMEUP, KEY_VOLUMEDOWN,
	[0x85] = KEY_KPCOMMA,
	[0x87] = KEY_RO, KEY_KATAKANAHIRAGANA, KEY_YEN, KEY_HENKAN, KEY_MUHENKAN,
	[0xe0] = KEY_LEFTCTRL, KEY_LEFTSHIFT, KEY_LEFTALT, KEY_LEFTMETA,
	KEY_RIGHTCTRL, KEY_RIGHTSHIFT, KEY_RIGHTALT, KEY_RIGHTMETA,
};

/* Latin-1 keysyms are the characters themselves. */
static const uint8_t by_character[128] = {
	[' '] = KEY_SPACE,
	['a'] = KEY_A, ['b'] = KEY_B, ['c'] = KEY_C, ['d'] = KEY_D, ['e'] = KEY_E, ['f'] = KEY_F,
	['g'] = KEY_G, ['h'] = KEY_H, ['i'] = KEY_I, ['j'] = KEY_J, ['k'] = KEY_K, ['l'] = KEY_L,
	['m'] = KEY_M, ['n'] = KEY_N, ['o'] = KEY_O, ['p'] = KEY_P, ['q'] = KEY_Q, ['r'] = KEY_R,
	['s'] = KEY_S, ['t'] = KEY_T, ['u'] = KEY_U, ['v'] = KEY_V, ['w'] = KEY_W, ['x'] = KEY_X,
	['y'] = KEY_Y, ['z'] = KEY_Z,
	['1'] = KEY_1, ['2'] = KEY_2, ['3'] = KEY_3, ['4'] = KEY_4, ['5'] = KEY_5, ['6'] = KEY_6,
	['7'] = KEY_7, ['8'] = KEY_8, ['9'] = KEY_9, ['0'] = KEY_0,
	['!'] = KEY_1, ['@'] = KEY_2, ['#'] = KEY_3, ['$'] = KEY_4, ['%'] = KEY_5, ['^'] = KEY_6,
	['&'] = KEY_7, ['*'] = KEY_8, ['('] = KEY_9, [')'] = KEY_0,
	['-'] = KEY_MINUS, ['_'] = KEY_MINUS, ['='] = KEY_EQUAL, ['+'] = KEY_EQUAL,
	['['] = KEY_LEFTBRACE, ['{'] = KEY_LEFTBRACE, [']'] = KEY_RIGHTBRACE,
	['}'] = KEY_RIGHTBRACE, ['\\'] = KEY_BACKSLASH, ['|'] = KEY_BACKSLASH,
	[';'] = KEY_SEMICOLON, [':'] = KEY_SEMICOLON, ['\''] = KEY_APOSTROPHE,
	['"'] = KEY_APOSTROPHE, ['`'] = KEY_GRAVE, ['~'] = KEY_GRAVE, [','] = KEY_COMMA,
	['<'] = KEY_COMMA, ['.'] = KEY_DOT, ['>'] = KEY_DOT, ['/'] = KEY_SLASH, ['?'] = KEY_SLASH,
};

/* The X Window System Protocol, appendix A: function keysyms, 0xff00 and on */
static const uint8_t by_function[256] = {
	[0x08] = KEY_BACKSPACE, [0x09] = KEY_TAB, [0x0d] = KEY_ENTER, [0x13] = KEY_PAUSE,
	[0x14] = KEY_SCROLLLOCK, [0x15] = KEY_SYSRQ, [0x1b] = KEY_ESC,
	[0x50] = KEY_HOME, KEY_LEFT, KEY_UP, KEY_RIGHT, KEY_DOWN, KEY_PAGEUP, KEY_PAGEDOWN, KEY_END,
	[0x61] = KEY_SYSRQ, [0x63] = KEY_INSERT, [0x67] = KEY_COMPOSE, [0x6b] = KEY_PAUSE,
	[0x7e] = KEY_RIGHTALT, [0x7f] = KEY_NUMLOCK, [0x8d] = KEY_KPENTER,
	/* the keypad without and with Num Lock */
	[0x95] = KEY_KP7, KEY_KP4, KEY_KP8, KEY_KP6, KEY_KP2, KEY_KP9, KEY_KP3, KEY_KP1, KEY_KP5,
	KEY_KP0, KEY_KPDOT,
	[0xaa] = KEY_KPASTERISK, KEY_KPPLUS, KEY_KPCOMMA, KEY_KPMINUS, KEY_KPDOT, KEY_KPSLASH,
	KEY_KP0, KEY_KP1, KEY_KP2, KEY_KP3, KEY_KP4, KEY_KP5, KEY_KP6, KEY_KP7, KEY_KP8, KEY_KP9,
	[0xbd] = KEY_KPEQUAL,
	[0xbe] = KEY_F1, KEY_F2, KEY_F3, KEY_F4, KEY_F5, KEY_F6, KEY_F7, KEY_F8, KEY_F9, KEY_F10,
	KEY_F11, KEY_F12, KEY_F13, KEY_F14, KEY_F15, KEY_F16, KEY_F17, KEY_F18, KEY_F19, KEY_F20,
	KEY_F21, KEY_F22, KEY_F23, KEY_F24,
	[0xe1] = KEY_LEFTSHIFT, KEY_RIGHTSHIFT, KEY_LEFTCTRL, KEY_RIGHTCTRL, KEY_CAPSLOCK,
	[0xe7] = KEY_LEFTMETA, KEY_RIGHTMETA, KEY_LEFTALT, KEY_RIGHTALT, KEY_LEFTMETA,
	KEY_RIGHTMETA,
	[0xff] = KEY_DELETE,
};

/* clang-format on */

#define SYMBOL_FUNCTIONS 0xff00U
#define SYMBOL_ISO_LEVEL3_SHIFT 0xfe03U
#define SYMBOL_ISO_LEFT_TAB 0xfe20U

unsigned int keys_of_usage(unsigned int usage)
{
	return usage < ARRAY_SIZE(by_usage) ? by_usage[usage] : 0;
}

unsigned int keys_of_symbol(uint32_t symbol)
{
	if (symbol == SYMBOL_ISO_LEVEL3_SHIFT)
		return KEY_RIGHTALT;
	if (symbol == SYMBOL_ISO_LEFT_TAB)
		return KEY_TAB;
	if (symbol >= SYMBOL_FUNCTIONS && symbol - SYMBOL_FUNCTIONS < ARRAY_SIZE(by_function))
		return by_function[symbol - SYMBOL_FUNCTIONS];
	if (symbol >= 'A' && symbol <= 'Z')
		symbol += 'a' - 'A';
	return symbol < ARRAY_SIZE(by_character) ? by_character[symbol] : 0;
}
