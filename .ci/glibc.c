// Two functions that the C++ library of Debian 12 takes from glibc 2.35 and 2.36. Linked into wb, they leave glibc 2.34 enough.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

// arc4random (glibc 2.36) is called by std::random_device.
__attribute__((visibility("hidden"))) uint32_t arc4random(void) {
  uint32_t word;
  ssize_t got;
  do {
    got = getrandom(&word, sizeof word, 0);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof word) abort(); // a random number that is none would be worse
  return word;
}

struct wanted {
  uintptr_t address;
  struct dl_find_object *found;
};

static int look(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  struct wanted *w = data;
  uintptr_t start = 0, end = 0;
  void *frames = NULL;
  int inside = 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &object->dlpi_phdr[i];
    uintptr_t from = object->dlpi_addr + p->p_vaddr, to = from + p->p_memsz;
    if (p->p_type == PT_GNU_EH_FRAME) frames = (void *)from;
    if (p->p_type != PT_LOAD) continue;
    if (start == 0 || from < start) start = from;
    if (to > end) end = to;
    if (w->address >= from && w->address < to) inside = 1;
  }
  if (!inside) return 0;
  w->found->dlfo_flags = 0;
  w->found->dlfo_map_start = (void *)start;
  w->found->dlfo_map_end = (void *)end;
  w->found->dlfo_link_map = NULL;
  w->found->dlfo_eh_frame = frames;
  return 1;
}

// _dl_find_object (glibc 2.35) is how a C++ exception finds the tables of the code that it passes through.
__attribute__((visibility("hidden"))) int _dl_find_object(void *address, struct dl_find_object *found) {
  struct wanted w = {(uintptr_t)address, found};
  return dl_iterate_phdr(look, &w) == 1 && found->dlfo_eh_frame != NULL ? 0 : -1;
}
