// SPDX-License-Identifier: BSD-3-Clause
/*
 * The first and only program of a guest whose disk, entropy device and sound card QEMU has from our
 * back-ends: writes rounds of 2 MiB, reads them back, plays, and reports on the console.
 */
#include <errno.h>
#include <fcntl.h>
#include <sound/asound.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

#define ROUNDS 24
#define ROUND_SIZE (2U << 20)
#define PIECE (128U << 10)
/* what is played: 16 bits, two channels; all of it fits into the driver's buffer */
#define RATE 48000U
#define FRAMES 4800U
#define PERIOD 1200U

static int wait_for(const char *path, int flags)
{
	int fd, tries;

	for (tries = 0; tries < 600; tries++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		usleep(50000);
	}
	printf("%s: %s\n", path, strerror(errno));
	return -1;
}

/*
 * The host makes the same bytes: each 8 are their own offset times an odd number, plus the round.
 */
static void fill(uint64_t *words, uint64_t offset, unsigned int round)
{
	size_t i;

	for (i = 0; i < PIECE / sizeof(*words); i++)
		words[i] = (offset + i * sizeof(*words)) * 0x9e3779b97f4a7c15ULL + round;
}

static int do_round(int fd, unsigned int round, void *buf, void *back)
{
	uint64_t start = (uint64_t)round * ROUND_SIZE, at;

	for (at = start; at < start + ROUND_SIZE; at += PIECE) {
		fill(buf, at, round);
		if (pwrite(fd, buf, PIECE, (off_t)at) != PIECE)
			return -errno;
	}
	if (round % 4 == 0 && fsync(fd) < 0)
		return -errno;
	for (at = start; at < start + ROUND_SIZE; at += PIECE) {
		fill(buf, at, round);
		if (pread(fd, back, PIECE, (off_t)at) != PIECE)
			return -errno;
		if (memcmp(buf, back, PIECE))
			return -EILSEQ;
	}
	return 0;
}

static void use_disk(void)
{
	int fd = wait_for("/dev/vda", O_RDWR | O_DIRECT);
	void *buf = aligned_alloc(4096, PIECE), *back = aligned_alloc(4096, PIECE);
	unsigned int round;

	for (round = 0; fd >= 0 && buf && back && round < ROUNDS; round++) {
		int ret = do_round(fd, round, buf, back);

		if (ret)
			printf("round %u: %s\n", round, strerror(-ret));
		else
			printf("round %u ok\n", round);
		fflush(stdout);
	}
}

static void use_rng(void)
{
	uint8_t bytes[256] = { 0 };
	int fd = wait_for("/dev/hwrng", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	unsigned int ones = 0;
	ssize_t i;

	for (i = 0; i < n; i++)
		ones += (unsigned int)__builtin_popcount(bytes[i]);
	printf("rng %zd bytes, %u ones\n", n, ones);
}

static void set_mask(struct snd_pcm_hw_params *hw, int which, unsigned int value)
{
	struct snd_mask *mask = &hw->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];

	memset(mask, 0, sizeof(*mask));
	mask->bits[value / 32] = 1U << value % 32;
}

static void set_interval(struct snd_pcm_hw_params *hw, int which, unsigned int value)
{
	hw->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL] =
		(struct snd_interval){ .min = value, .max = value, .integer = 1 };
}

static int set_up_sound(int fd)
{
	struct snd_pcm_hw_params hw = { .rmask = ~0U, .info = ~0U };
	/* it starts when it is told to: to drain */
	struct snd_pcm_sw_params sw = { .avail_min = 1,
					.period_step = 1,
					.start_threshold = 2UL * FRAMES,
					.stop_threshold = 2UL * FRAMES,
					.boundary = 0 };
	size_t i;

	memset(hw.masks, 0xff, sizeof(hw.masks));
	for (i = 0; i < sizeof(hw.intervals) / sizeof(hw.intervals[0]); i++)
		hw.intervals[i].max = ~0U;
	set_mask(&hw, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
	set_mask(&hw, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
	set_interval(&hw, SNDRV_PCM_HW_PARAM_CHANNELS, 2);
	set_interval(&hw, SNDRV_PCM_HW_PARAM_RATE, RATE);
	set_interval(&hw, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, PERIOD);
	set_interval(&hw, SNDRV_PCM_HW_PARAM_BUFFER_SIZE, FRAMES);
	if (ioctl(fd, SNDRV_PCM_IOCTL_HW_PARAMS, &hw) < 0 ||
	    ioctl(fd, SNDRV_PCM_IOCTL_SW_PARAMS, &sw) < 0 ||
	    ioctl(fd, SNDRV_PCM_IOCTL_PREPARE) < 0)
		return -errno;
	return 0;
}

/* The host makes the same samples: each is its place times an odd number. */
static void use_sound(void)
{
	static uint16_t samples[2 * FRAMES];
	struct snd_xferi all = { .buf = samples, .frames = FRAMES };
	int fd = wait_for("/dev/snd/pcmC0D0p", O_RDWR), ret = fd < 0 ? -ENODEV : 0;
	unsigned int i;

	for (i = 0; i < 2 * FRAMES; i++)
		samples[i] = (uint16_t)((i + 1) * 40503U);
	if (!ret)
		ret = set_up_sound(fd);
	if (!ret && ioctl(fd, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &all) < 0)
		ret = -errno;
	if (!ret && ioctl(fd, SNDRV_PCM_IOCTL_DRAIN) < 0)
		ret = -errno;
	close(fd);
	printf("sound: %s\n", ret ? strerror(-ret) : "played");
}

static void say(const char *path)
{
	char text[80] = "";
	FILE *f = fopen(path, "r");

	if (f && fgets(text, sizeof(text), f))
		printf("%s: %s", path, text);
	if (f)
		fclose(f);
}

int main(void)
{
	guest_begin();
	use_disk();
	use_rng();
	say("/sys/block/vda/size");
	say("/sys/block/vda/serial");
	say("/sys/block/vda/device/features");
	if (guest_told("sound"))
		use_sound();
	return guest_end();
}
