// SPDX-License-Identifier: BSD-3-Clause
/* What doctor finds, in a tree that is sound but for one fault, planted each time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cli/doctor.h"
#include "common/util.h"

#define RELEASE "6.12.48+deb13-amd64"
#define MODULES "/lib/modules/" RELEASE
#define SOURCE "0123456789ABCDEF0123456"

static char root[64];

static void make_folders(char *path)
{
	char *p;

	for (p = path + strlen(root) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
}

static void put_bytes(const char *name, const void *data, size_t size, mode_t mode)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, name);
	make_folders(path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text), 0644);
}

static void gone(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, name);
	assert_int_equal(unlink(path), 0);
}

static void set_mode(const char *name, mode_t mode)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, name);
	assert_int_equal(chmod(path, mode), 0);
}

static void put_module(bool is_signed)
{
	static const char plain[] = "ELF\0version=0.1.0\0srcversion=" SOURCE "\0depends=";
	char data[256];
	size_t size = sizeof(plain);

	memcpy(data, plain, sizeof(plain));
	if (is_signed) {
		strcpy(data + size, "~Module signature appended~\n");
		size += strlen(data + size);
	}
	put_bytes(MODULES "/updates/dkms/virtio_loopback.ko", data, size, 0644);
}

static const char config[] = "CONFIG_VIRTIO=m\nCONFIG_EVENTFD=y\nCONFIG_MEMFD_CREATE=y\n"
			     "CONFIG_ARCH_HAS_DMA_OPS=y\n# CONFIG_GPIO_VIRTIO is not set\n";

static const char dep[] = "updates/dkms/virtio_loopback.ko: kernel/drivers/virtio/virtio.ko.xz\n"
			  "kernel/drivers/block/virtio_blk.ko.xz:\n"
			  "kernel/drivers/char/hw_random/virtio-rng.ko.xz:\n"
			  "updates/dkms/virtio_can.ko:\n";

/* A machine with all there is to find, and a user who is in the group. */
static void make_sound(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s/*", root);
	assert_int_equal(system(command), 0);
	put("/boot/config-" RELEASE, config);
	put(MODULES "/modules.dep", dep);
	put(MODULES "/modules.builtin", "kernel/drivers/char/virtio_console.ko\n");
	put_module(false);
	put("/sys/module/virtio_loopback/srcversion", SOURCE "\n");
	put("/sys/module/virtio_loopback/version", PACKAGE_VERSION "\n");
	put("/sys/module/virtio_loopback/parameters/allowed_types", "\n");
	put("/sys/module/module/parameters/sig_enforce", "N\n");
	put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	put("/etc/group", "root:x:0:\nvirtio-loopback:x:996:alice,bob\n");
	put("/etc/passwd", "root:x:0:0::/root:/bin/sh\nvirtio-loopback:x:997:996::/:/bin/false\n");
	put("/dev/virtio-loopback", "");
	set_mode("/dev/virtio-loopback", 0660);
	put("/run/virtio-loopback/x.lock", "");
	set_mode("/run/virtio-loopback", 0700);
	put_bytes("/usr/bin/vhost-user-blk", "", 0, 0755);
	put("/etc/virtio-loopback/data.conf",
	    "[device]\ntype = blk\nexec = vhost-user-blk --image /x\n");
	put("/etc/systemd/system/multi-user.target.wants/virtio-loopback@data.service", "");
}

static struct doctor patient;

static void examine(void)
{
	doctor_finish(&patient);
	memset(patient.types, 0, sizeof(patient.types));
	memset(patient.types_by_vduse, 0, sizeof(patient.types_by_vduse));
	doctor_check_files(&patient);
	assert_false(patient.failed);
}

/* The adapter's place depends on where this test runs. */
static bool of_the_build(const struct finding *f)
{
	return !strcmp(f->check, "programs");
}

/* Exactly this one is bad, and this mends it. */
static void finds(const char *check, const char *text, const char *remedy)
{
	const struct finding *found = NULL;
	unsigned int i, bad = 0;

	examine();
	for (i = 0; i < patient.count; i++) {
		const struct finding *f = &patient.findings[i];

		if (f->level != FINDING_BAD || of_the_build(f))
			continue;
		bad++;
		found = f;
	}
	if (bad != 1)
		doctor_print(&patient, true, stderr);
	assert_int_equal(bad, 1);
	assert_string_equal(found->check, check);
	if (!strstr(found->text, text) || !strstr(found->remedy, remedy))
		doctor_print(&patient, true, stderr);
	assert_non_null(strstr(found->text, text));
	assert_non_null(strstr(found->remedy, remedy));
}

static void notes_with(const char *check, const char *text, const char *remedy)
{
	unsigned int i;

	examine();
	for (i = 0; i < patient.count; i++) {
		const struct finding *f = &patient.findings[i];

		if (f->level == FINDING_NOTE && !strcmp(f->check, check) &&
		    strstr(f->text, text) && strstr(f->remedy, remedy))
			return;
	}
	doctor_print(&patient, true, stderr);
	fail_msg("expected a note of %s: %s -> %s", check, text, remedy);
}

static void notes(const char *check, const char *text)
{
	notes_with(check, text, "");
}

static void notes_nothing_of(const char *text)
{
	unsigned int i;

	examine();
	for (i = 0; i < patient.count; i++) {
		if (patient.findings[i].level != FINDING_OK &&
		    strstr(patient.findings[i].text, text))
			fail_msg("expected nothing of %s, saw %s", text, patient.findings[i].text);
	}
}

static void nothing_bad(void)
{
	unsigned int i;

	examine();
	for (i = 0; i < patient.count; i++) {
		if (patient.findings[i].level == FINDING_BAD && !of_the_build(&patient.findings[i]))
			fail_msg("expected nothing bad, saw %s", patient.findings[i].text);
	}
}

static void test_sound(void **state)
{
	(void)state;
	make_sound();
	nothing_bad();
	assert_true(patient.count > 6);
	/* not here, and not asked for */
	notes("drivers", "gpio: the driver gpio-virtio is not there");
}

static void test_kernel(void **state)
{
	(void)state;
	make_sound();
	patient.release = "5.10.0-9-amd64";
	examine();
	assert_true(doctor_bad(&patient) >= 1);
	assert_non_null(strstr(patient.findings[1].text, "5.10.0-9-amd64 is too old"));
	patient.release = RELEASE;

	put("/boot/config-" RELEASE, "CONFIG_VIRTIO=m\nCONFIG_EVENTFD=y\nCONFIG_MEMFD_CREATE=y\n"
				     "# CONFIG_ARCH_HAS_DMA_OPS is not set\n");
	finds("options", "CONFIG_ARCH_HAS_DMA_OPS is not set", "CONFIG_XEN");
	put("/boot/config-" RELEASE, "CONFIG_VIRTIO_MENU=y\nCONFIG_EVENTFD=y\n"
				     "CONFIG_MEMFD_CREATE=y\nCONFIG_ARCH_HAS_DMA_OPS=y\n");
	finds("options", "CONFIG_VIRTIO is not set", "build the kernel");
	gone("/boot/config-" RELEASE);
	notes("options", "cannot be told");
}

static void test_module(void **state)
{
	(void)state;
	make_sound();
	gone("/sys/module/virtio_loopback/version");
	gone("/sys/module/virtio_loopback/srcversion");
	put("/sys/module/virtio_loopback/srcversion", "FEDCBA9876543210FEDCBA9\n");
	finds("module", "was updated since", "modprobe -r virtio_loopback");

	make_sound();
	put("/sys/module/virtio_loopback/version", "0.0.1\n");
	finds("module", "virtio_loopback 0.0.1 is loaded", "from one version");

	make_sound();
	gone(MODULES "/updates/dkms/virtio_loopback.ko");
	finds("module", "there is no such file", "depmod -a " RELEASE);

	make_sound();
	put("/etc/modprobe.d/no.conf", "# x\ninstall virtio_loopback /bin/false\n");
	finds("module", "/etc/modprobe.d/no.conf keeps", "/etc/modprobe.d/no.conf");
}

static void not_loaded(void)
{
	gone("/sys/module/virtio_loopback/version");
	gone("/sys/module/virtio_loopback/srcversion");
	gone("/sys/module/virtio_loopback/parameters/allowed_types");
	gone("/dev/virtio-loopback");
	assert_int_equal(chdir(root), 0);
	assert_int_equal(rmdir("sys/module/virtio_loopback/parameters"), 0);
	assert_int_equal(rmdir("sys/module/virtio_loopback"), 0);
	assert_int_equal(chdir("/"), 0);
}

static void test_not_loaded(void **state)
{
	(void)state;
	make_sound();
	not_loaded();
	finds("module", "alice may not load it", "modprobe virtio_loopback");
	patient.uid = 0;
	notes("module", "is not loaded; attach");
	patient.uid = 1000;

	/* neither loaded nor installed */
	put(MODULES "/modules.dep", strchr(dep, '\n') + 1);
	finds("module", "headers", "apt install linux-headers-" RELEASE " virtio-loopback-dkms");
	put(MODULES "/build/Makefile", "");
	finds("module", "is not installed", "apt install virtio-loopback-dkms");
	put("/usr/src/virtio-loopback-0.1.0/dkms.conf", "");
	finds("module", "is not installed", "dkms autoinstall -k " RELEASE);
}

static void test_signature(void **state)
{
	static const char secure[] = "\6\0\0\0\1";

	(void)state;
	make_sound();
	put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	put_bytes("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", secure,
		  5, 0644);
	finds("module", "signed modules only (Secure Boot)", "sign-file");
	put("/var/lib/dkms/mok.pub", "");
	finds("module", "is not signed", "mokutil --import /var/lib/dkms/mok.pub");
	put_module(true);
	nothing_bad();
	put_module(false);
	put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	put("/sys/module/module/parameters/sig_enforce", "Y\n");
	finds("module", "is not signed", "mokutil");
}

static void test_drivers(void **state)
{
	(void)state;
	make_sound();
	put(MODULES "/modules.dep", "updates/dkms/virtio_loopback.ko:\n");
	finds("drivers", "blk: the driver virtio_blk is not there", "CONFIG_VIRTIO_BLK=m");
	/* loaded, and so there, whatever the lists say */
	put("/sys/module/virtio_blk/refcnt", "0\n");
	nothing_bad();

	make_sound();
	put_bytes("/usr/bin/vhost-user-blk", "", 0, 0644);
	finds("config", "there is no program vhost-user-blk", "apt install virtio-loopback-backends");
}

static void test_access(void **state)
{
	(void)state;
	make_sound();
	gone("/dev/virtio-loopback");
	finds("access", "/dev/virtio-loopback is not there", "udevadm trigger");

	make_sound();
	set_mode("/dev/virtio-loopback", 0666);
	finds("access", "everybody may open", "chmod o= /dev/virtio-loopback");

	make_sound();
	set_mode("/run/virtio-loopback", 0777);
	finds("access", "others may change the state", "chmod 3770 /run/virtio-loopback");
	set_mode("/run/virtio-loopback", 0770);
	finds("access", "others may change the state", "chmod 3770 /run/virtio-loopback");
	set_mode("/run/virtio-loopback", 0700);
	if (getuid() == 0) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/run/virtio-loopback", root);
		assert_int_equal(chown(path, 65534, 0), 0);
		finds("access", "is user 65534's", "chown root /run/virtio-loopback");
		assert_int_equal(chown(path, 0, 0), 0);
	}

	put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
	notes("access", "there is no user virtio-loopback: an adapter that root starts stays root");
	put("/etc/group", "root:x:0:\n");
	notes("access", "there is no group virtio-loopback");
}

/* The kernel's own judgement: only somebody else than root is refused. */
static void test_access_refused(void **state)
{
	char path[PATH_MAX];

	(void)state;
	make_sound();
	snprintf(path, sizeof(path), "%s/dev/virtio-loopback", root);
	set_mode("/dev/virtio-loopback", 0600);
	assert_int_equal(chmod(root, 0755), 0);
	if (getuid() == 0) {
		/* access() asks for the real one */
		assert_int_equal(setreuid(65534, 0), 0);
		snprintf(path, sizeof(path), "%s/run/virtio-loopback", root);
		assert_int_equal(chown(path, 65534, 0), 0);
	} else {
		set_mode("/dev/virtio-loopback", 0000);
	}
	finds("access", "is not the group virtio-loopback's", "udevadm control --reload");
	put("/etc/group", "root:x:0:\n");
	finds("access", "there is no group", "addgroup --system virtio-loopback");
	if (getuid() == 65534)
		assert_int_equal(setreuid(0, 0), 0);
}

static void test_limits(void **state)
{
	(void)state;
	make_sound();
	patient.memlock = 8 << 20;
	finds("limits", "alice may lock 8192 KiB", "alice - memlock 131072");
	patient.memlock = UINT64_MAX;
	patient.nofile = 256;
	finds("limits", "256 files", "ulimit -n 1024");
	patient.nofile = 4096;
}

static void test_configs(void **state)
{
	(void)state;
	make_sound();
	put("/etc/virtio-loopback/other.conf", "[device]\ntype = rng\nexec = vhost-user-blk\nsize = 1\n");
	finds("config", "/etc/virtio-loopback/other.conf:4: size:",
	      "edit /etc/virtio-loopback/other.conf");
	gone("/etc/virtio-loopback/other.conf");
	put("/sys/module/virtio_loopback/parameters/allowed_types", "4,18\n");
	finds("config", "virtio id 2, and", "allowed_types");
	put("/sys/module/virtio_loopback/parameters/allowed_types", "4,2\n");
	gone("/etc/systemd/system/multi-user.target.wants/virtio-loopback@data.service");
	notes("config", "/etc/virtio-loopback/data.conf: the device is not made at boot");
}

/* A back-end that is a unit of its own is not there at boot by the device's. */
static void test_units_of_a_backend(void **state)
{
	static const char both[] = "systemctl enable virtio-loopback-backend@data.socket "
				   "virtio-loopback@data.service";

	(void)state;
	make_sound();
	put("/etc/virtio-loopback/data.conf",
	    "[device]\ntype = blk\nsocket = /run/vhost-user/data.sock\n"
	    "[backend]\nexec = vhost-user-blk --image /x\n");
	notes_with("config", "the socket of its [backend] is not", both);
	gone("/etc/systemd/system/multi-user.target.wants/virtio-loopback@data.service");
	notes_with("config", "the device is not made at boot", both);
	put("/etc/systemd/system/sockets.target.wants/virtio-loopback-backend@data.socket", "");
	notes_with("config", "the device is not made at boot", both);
	put("/etc/systemd/system/multi-user.target.wants/virtio-loopback@data.service", "");
	notes_nothing_of("data.conf");
	/* where there is none, it is not asked for */
	make_sound();
	gone("/etc/systemd/system/multi-user.target.wants/virtio-loopback@data.service");
	notes_with("config", "the device is not made at boot",
		   "systemctl enable virtio-loopback@data.service");
}

static void test_configs_with_vduse(void **state)
{
	(void)state;
	make_sound();
	/* as the adapter would refuse it */
	put("/etc/virtio-loopback/other.conf",
	    "[device]\ntype = gpu\ntransport = vduse\nexec = vhost-user-blk\n");
	finds("config", "/etc/virtio-loopback/other.conf:3: transport vduse",
	      "edit /etc/virtio-loopback/other.conf");
	gone("/etc/virtio-loopback/other.conf");
	put("/etc/virtio-loopback/data.conf",
	    "[device]\ntype = blk\ntransport = vduse\nexec = vhost-user-blk --image /x\n");
	/* what the module permits does not concern it */
	put("/sys/module/virtio_loopback/parameters/allowed_types", "4\n");
	put("/sys/module/vduse/refcnt", "0\n");
	finds("drivers", "there is no virtio_vdpa, and a configuration file",
	      "CONFIG_VIRTIO_VDPA=m");
	put("/sys/module/virtio_vdpa/refcnt", "0\n");
	nothing_bad();
}

static void test_output(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f;

	(void)state;
	make_sound();
	gone("/dev/virtio-loopback");
	examine();
	f = open_memstream(&text, &size);
	doctor_print_json(&patient, true, f);
	fclose(f);
	assert_non_null(strstr(text, "\"level\": \"ok\""));
	assert_non_null(strstr(text, "\"ok\": false"));
	assert_non_null(strstr(text, "\"remedy\": \"udevadm trigger /sys/class/misc/virtio-loopback\""));
	free(text);
	f = open_memstream(&text, &size);
	doctor_print_json(&patient, false, f);
	fclose(f);
	assert_null(strstr(text, "\"level\": \"ok\""));
	assert_non_null(strstr(text, "\"level\": \"bad\""));
	assert_non_null(strstr(text, "\"ok\": false"));
	free(text);
	f = open_memstream(&text, &size);
	doctor_print(&patient, false, f);
	fclose(f);
	assert_null(strstr(text, "ok "));
	assert_non_null(strstr(text, "-> udevadm trigger"));
	free(text);
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/vlb-doctor-XXXXXX");
	patient = (struct doctor){
		.root = root,
		.release = RELEASE,
		.user = "alice",
		.uid = 1000,
		.memlock = UINT64_MAX,
		.nofile = 4096,
	};
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[128];

	(void)state;
	doctor_finish(&patient);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

/* Some of what it tells others wrote, and one may look at it on a terminal. */
static void test_control_characters(void **state)
{
	struct doctor d = { 0 };
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	doctor_say(&d, FINDING_BAD, "devices", "a\x1b" "b", "x waits for its back-end, \x1b]0;%s\a",
		   "\xc2\x9b" "31m \xc3\x9b\n");
	doctor_print(&d, true, f);
	fclose(f);
	assert_string_equal(text, "bad   devices   x waits for its back-end, ?]0;\xc2?31m \xc3\x9b??\n"
				  "                -> a?b\n");
	free(text);
	doctor_finish(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),	   cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_module),	   cmocka_unit_test(test_not_loaded),
		cmocka_unit_test(test_signature),  cmocka_unit_test(test_drivers),
		cmocka_unit_test(test_access),	   cmocka_unit_test(test_access_refused),
		cmocka_unit_test(test_limits),	   cmocka_unit_test(test_configs),
		cmocka_unit_test(test_configs_with_vduse),
		cmocka_unit_test(test_units_of_a_backend),
		cmocka_unit_test(test_output),	   cmocka_unit_test(test_control_characters),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
