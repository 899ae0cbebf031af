// Emulated V4L2 cameras, as a library to be preloaded into a program (LD_PRELOAD).
//
// The environment variable EMULATED_CAMERAS names a folder:
//   dev/video0             the device node, a regular file that holds the mapped buffers; moved away when unplugged
//   video0                 the camera's properties and faults, one setting per line, read again when it changes
//   frames/YUYV-640x480    the frames of a mode, shown in a loop, each preceded by its length in 4 bytes,
//                          little-endian
//
// Settings:
//   name TEXT                        the camera's name
//   mode FOURCC WIDTH HEIGHT N D     a mode with a frame interval of N/D seconds
//   rates range                      any rate between the fastest and the slowest mode of a format and size
//   rates unlisted                   the driver lists neither rates nor sizes
//   metadata                         the node carries no pictures
//   output                           the node shows what is written to it, which is appended to its file; with a mode, it
//                                    keeps to that
//   busy                             another program uses it
//   denied                           the user may not use it
//   stall [old]                      no frame arrives; with `old`, only in streams opened before the setting was made
//   hang CALL                        `list`, `format` or `dequeue` never returns
//   stop-error NUMBER                ending a stream fails with this error
//   damage KIND EVERY                every EVERY-th frame, from the first on, is `truncated`, `garbage`, `scrambled`,
//                                    `short`, of another `size` or `flagged` by the driver
//
// Redirected: opening device nodes, listing /dev, and links to the nodes. Emulated: V4L2's ioctls, also through
// `syscall`, `poll`, and `write` to a node that was unplugged. As with a real driver, a node whose buffers are in use is busy for others, and a frame that
// finds no waiting buffer is lost and its number is skipped.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MODES = 32, HANDLES = 64, BUFFERS = 8, FRAMES = 512 };

#define NS_PER_S 1000000000ll
// How often a sleeping poll checks whether the camera was unplugged.
#define UNPLUG_POLL_INTERVAL_NS 5000000ll

struct mode {
  uint32_t fourcc, width, height;
  struct v4l2_fract interval;
};

struct settings {
  char name[32];
  struct mode modes[MODES];
  int mode_count;
  bool rate_range, unlisted, metadata, output, busy, denied, stall, stall_old, hang_list, hang_format, hang_dequeue;
  int stop_error;
  char damage[16];
  int damage_every;
  int64_t since_ns;  // when the settings were written, since the epoch
};

struct recording {
  uint8_t *data;
  size_t size;
  const uint8_t *frame[FRAMES];
  uint32_t length[FRAMES];
  int count;
};

struct ready {
  int index;
  uint32_t bytes_used, number, flags;
  int64_t time_ns;
};

struct handle {
  bool used;
  int fd, node;
  ino_t inode;
  struct mode mode;
  struct recording recording, other;
  uint8_t *memory;
  int buffer_count;
  uint32_t buffer_length;
  int waiting[BUFFERS], waiting_count;
  struct ready ready[BUFFERS];
  int ready_count;
  bool streaming;
  int64_t streaming_since_ns, next_due_ns;
  uint32_t next_number;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct handle handles[HANDLES];
static const char *root;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static DIR *(*real_opendir)(const char *);
static ssize_t (*real_readlink)(const char *, char *, size_t);
static long (*real_syscall)(long, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_poll)(struct pollfd *, nfds_t, int);

// Other libraries may call these functions before ours is initialized, so the first call initializes it.
static void start(void) {
  if (real_poll) return;
  root = getenv("EMULATED_CAMERAS");
  real_open = dlsym(RTLD_NEXT, "open");
  real_openat = dlsym(RTLD_NEXT, "openat");
  real_close = dlsym(RTLD_NEXT, "close");
  real_opendir = dlsym(RTLD_NEXT, "opendir");
  real_readlink = dlsym(RTLD_NEXT, "readlink");
  real_syscall = dlsym(RTLD_NEXT, "syscall");
  real_write = dlsym(RTLD_NEXT, "write");
  real_poll = dlsym(RTLD_NEXT, "poll");
}

static int fail(int error) {
  errno = error;
  return -1;
}

static int64_t now_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void wait_for_ever(void) {
  for (;;) pause();
}

// The number of a path like /dev/video3, or -1.
static int node_of(const char *path) {
  int node = -1, end = 0;
  if (!root || !path || sscanf(path, "/dev/video%d%n", &node, &end) != 1 || path[end]) return -1;
  return node;
}

static struct handle *handle_of(int fd) {
  for (int i = 0; i < HANDLES; i++)
    if (handles[i].used && handles[i].fd == fd) return &handles[i];
  return NULL;
}

static void read_settings(int node, struct settings *s) {
  char path[4096], line[256];
  struct stat status;
  memset(s, 0, sizeof *s);
  strcpy(s->name, "Emulated camera");
  snprintf(path, sizeof path, "%s/video%d", root, node);
  FILE *file = fopen(path, "r");
  if (!file) return;
  if (fstat(fileno(file), &status) == 0) s->since_ns = status.st_mtim.tv_sec * NS_PER_S + status.st_mtim.tv_nsec;
  while (fgets(line, sizeof line, file)) {
    char text[32] = "", kind[16] = "";
    struct mode mode;
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "mode %4s %u %u %u %u", text, &mode.width, &mode.height, &mode.interval.numerator,
               &mode.interval.denominator) == 5 && s->mode_count < MODES) {
      mode.fourcc = v4l2_fourcc(text[0], text[1], text[2], text[3]);
      s->modes[s->mode_count++] = mode;
    } else if (!strncmp(line, "name ", 5)) {
      snprintf(s->name, sizeof s->name, "%.31s", line + 5);
    } else if (sscanf(line, "hang %15s", kind) == 1) {
      s->hang_list |= !strcmp(kind, "list");
      s->hang_format |= !strcmp(kind, "format");
      s->hang_dequeue |= !strcmp(kind, "dequeue");
    } else if (sscanf(line, "damage %15s %d", kind, &s->damage_every) == 2) {
      strcpy(s->damage, kind);
    }
    sscanf(line, "stop-error %d", &s->stop_error);
    s->rate_range |= !strcmp(line, "rates range");
    s->unlisted |= !strcmp(line, "rates unlisted");
    s->metadata |= !strcmp(line, "metadata");
    s->output |= !strcmp(line, "output");
    s->busy |= !strcmp(line, "busy");
    s->denied |= !strcmp(line, "denied");
    s->stall |= !strcmp(line, "stall");
    s->stall_old |= !strcmp(line, "stall old");
  }
  fclose(file);
}

static bool is_plugged_in(const struct handle *h) {
  char path[4096];
  struct stat status;
  snprintf(path, sizeof path, "%s/dev/video%d", root, h->node);
  return stat(path, &status) == 0 && status.st_ino == h->inode;
}

static void forget(struct recording *r) {
  if (r->data) munmap(r->data, r->size);
  memset(r, 0, sizeof *r);
}

static bool load(struct recording *r, const struct mode *mode, const char *suffix) {
  char path[4096], fourcc[5] = {0};
  struct stat status;
  memcpy(fourcc, &mode->fourcc, 4);
  snprintf(path, sizeof path, "%s/frames/%s-%ux%u%s", root, fourcc, mode->width, mode->height, suffix);
  forget(r);
  int fd = real_open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  if (fstat(fd, &status) == 0 && status.st_size > 0) {
    void *data = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data != MAP_FAILED) r->data = data, r->size = status.st_size;
  }
  real_close(fd);
  for (size_t at = 0; r->data && at + 4 <= r->size && r->count < FRAMES;) {
    uint32_t length;
    memcpy(&length, r->data + at, 4);
    if (at + 4 + length > r->size) break;
    r->frame[r->count] = r->data + at + 4;
    r->length[r->count++] = length;
    at += 4 + length;
  }
  return r->count > 0;
}

static uint32_t size_of_image(const struct mode *mode) {
  return mode->fourcc == V4L2_PIX_FMT_NV12 ? mode->width * mode->height * 3 / 2 : mode->width * mode->height * 2;
}

static uint32_t random_bits(void) {
  static uint32_t state = 1;
  state ^= state << 13, state ^= state >> 17, state ^= state << 5;
  return state;
}

// Puts the next frame into a buffer, intact or damaged as configured.
static struct ready fill(struct handle *h, const struct settings *s, int index) {
  struct ready ready = {.index = index, .number = h->next_number, .time_ns = h->next_due_ns};
  bool is_damaged = s->damage_every > 0 && h->next_number % s->damage_every == 0;
  const struct recording *r = &h->recording;
  if (is_damaged && !strcmp(s->damage, "size")) r = &h->other;
  int i = h->next_number % r->count;
  uint8_t *to = h->memory + (size_t)index * h->buffer_length;
  uint32_t length = r->length[i] < h->buffer_length ? r->length[i] : h->buffer_length;
  memcpy(to, r->frame[i], length);
  if (is_damaged && !strcmp(s->damage, "truncated")) length /= 2;
  if (is_damaged && !strcmp(s->damage, "short")) length -= h->mode.width;
  if (is_damaged && !strcmp(s->damage, "flagged")) ready.flags = V4L2_BUF_FLAG_ERROR;
  if (is_damaged && !strcmp(s->damage, "garbage"))
    for (uint32_t k = 0; k < length; k++) to[k] = random_bits();
  // The headers, the end and anything that looks like a marker stay.
  if (is_damaged && !strcmp(s->damage, "scrambled"))
    for (uint32_t k = 1024; k + 2 < length; k++)
      if (to[k] != 0xff && to[k - 1] != 0xff) to[k] = random_bits() % 255;
  ready.bytes_used = length;
  return ready;
}

// Catches up with the camera: every frame due since the last call goes into the buffer that has waited longest, or is
// lost.
static void catch_up(struct handle *h, const struct settings *s) {
  if (!h->streaming) return;
  int64_t interval_ns = NS_PER_S * h->mode.interval.numerator / h->mode.interval.denominator;
  int64_t now = now_ns(CLOCK_MONOTONIC);
  bool is_stalled = s->stall || (s->stall_old && h->streaming_since_ns < s->since_ns);
  for (; h->next_due_ns <= now; h->next_due_ns += interval_ns) {
    if (is_stalled) continue;
    if (h->waiting_count > 0) {
      h->ready[h->ready_count++] = fill(h, s, h->waiting[0]);
      memmove(h->waiting, h->waiting + 1, --h->waiting_count * sizeof *h->waiting);
    }
    h->next_number++;
  }
}

static void stop(struct handle *h) {
  h->streaming = false;
  h->waiting_count = h->ready_count = 0;
}

static void free_buffers(struct handle *h) {
  stop(h);
  if (h->memory) munmap(h->memory, (size_t)h->buffer_count * h->buffer_length);
  h->memory = NULL;
  h->buffer_count = 0;
}

static int open_node(int node, int flags) {
  char path[4096];
  struct settings s;
  struct stat status;
  read_settings(node, &s);
  if (s.denied) return fail(EACCES);
  snprintf(path, sizeof path, "%s/dev/video%d", root, node);
  int fd = real_open(path, flags);
  if (fd < 0) return fd;
  fstat(fd, &status);
  pthread_mutex_lock(&lock);
  struct handle *h = NULL;
  for (int i = 0; i < HANDLES && !h; i++)
    if (!handles[i].used) h = &handles[i];
  if (h) *h = (struct handle){.used = true, .fd = fd, .node = node, .inode = status.st_ino, .mode = s.modes[0]};
  pthread_mutex_unlock(&lock);
  if (!h) {
    real_close(fd);
    return fail(EMFILE);
  }
  return fd;
}

static int enumerate_formats(const struct settings *s, struct v4l2_fmtdesc *d) {
  uint32_t wanted = d->index, found = 0;
  for (int i = 0; i < s->mode_count; i++) {
    bool is_new = true;
    for (int k = 0; k < i; k++) is_new &= s->modes[k].fourcc != s->modes[i].fourcc;
    if (is_new && found++ == wanted) {
      d->pixelformat = s->modes[i].fourcc;
      return 0;
    }
  }
  return fail(EINVAL);
}

static int enumerate_sizes(const struct settings *s, struct v4l2_frmsizeenum *d) {
  uint32_t wanted = d->index, found = 0;
  if (s->unlisted) return fail(ENOTTY);
  for (int i = 0; i < s->mode_count; i++) {
    const struct mode *m = &s->modes[i];
    bool is_new = m->fourcc == d->pixel_format;
    for (int k = 0; k < i; k++)
      is_new &= s->modes[k].fourcc != m->fourcc || s->modes[k].width != m->width || s->modes[k].height != m->height;
    if (is_new && found++ == wanted) {
      d->type = V4L2_FRMSIZE_TYPE_DISCRETE;
      d->discrete.width = m->width;
      d->discrete.height = m->height;
      return 0;
    }
  }
  return fail(EINVAL);
}

static double seconds(struct v4l2_fract interval) {
  return (double)interval.numerator / interval.denominator;
}

static int enumerate_intervals(const struct settings *s, struct v4l2_frmivalenum *d) {
  uint32_t wanted = d->index, found = 0;
  if (s->unlisted) return fail(ENOTTY);
  if (s->rate_range) {
    struct v4l2_frmival_stepwise *range = &d->stepwise;
    if (wanted > 0) return fail(EINVAL);
    for (int i = 0; i < s->mode_count; i++) {
      const struct mode *m = &s->modes[i];
      if (m->fourcc != d->pixel_format || m->width != d->width || m->height != d->height) continue;
      if (!found || seconds(m->interval) < seconds(range->min)) range->min = m->interval;
      if (!found++ || seconds(m->interval) > seconds(range->max)) range->max = m->interval;
    }
    range->step = (struct v4l2_fract){1, 1};
    d->type = V4L2_FRMIVAL_TYPE_CONTINUOUS;
    return found ? 0 : fail(EINVAL);
  }
  for (int i = 0; i < s->mode_count; i++) {
    const struct mode *m = &s->modes[i];
    if (m->fourcc == d->pixel_format && m->width == d->width && m->height == d->height && found++ == wanted) {
      d->type = V4L2_FRMIVAL_TYPE_DISCRETE;
      d->discrete = m->interval;
      return 0;
    }
  }
  return fail(EINVAL);
}

static void describe(const struct mode *m, struct v4l2_pix_format *p) {
  p->width = m->width;
  p->height = m->height;
  p->pixelformat = m->fourcc;
  p->field = V4L2_FIELD_NONE;
  p->bytesperline = m->fourcc == V4L2_PIX_FMT_YUYV ? m->width * 2 : m->fourcc == V4L2_PIX_FMT_NV12 ? m->width : 0;
  p->sizeimage = size_of_image(m);
  p->colorspace = V4L2_COLORSPACE_SRGB;
}

static bool is_busy(const struct handle *h, const struct settings *s) {
  bool busy = s->busy;
  for (int i = 0; i < HANDLES; i++)
    busy |= handles[i].used && &handles[i] != h && handles[i].inode == h->inode && handles[i].buffer_count > 0;
  return busy;
}

static int set_format(struct handle *h, const struct settings *s, struct v4l2_pix_format *p, bool is_try) {
  if (!is_try && (is_busy(h, s) || h->buffer_count > 0)) return fail(EBUSY);
  int best = 0;
  int64_t best_distance = INT64_MAX;
  for (int i = 0; i < s->mode_count; i++) {
    int64_t across = (int64_t)s->modes[i].width - p->width, down = (int64_t)s->modes[i].height - p->height;
    int64_t distance = across * across + down * down + (s->modes[i].fourcc != p->pixelformat) * (1ll << 40);
    if (distance < best_distance) best = i, best_distance = distance;
  }
  describe(&s->modes[best], p);
  if (!is_try) h->mode = s->modes[best];
  return 0;
}

static int set_output_format(const struct settings *s, struct v4l2_format *format) {
  struct v4l2_pix_format *p = &format->fmt.pix;
  if (format->type != V4L2_BUF_TYPE_VIDEO_OUTPUT) return fail(EINVAL);
  if (s->busy) return fail(EBUSY);
  if (s->mode_count > 0) describe(&s->modes[0], p);
  return 0;
}

static int set_interval(struct handle *h, const struct settings *s, struct v4l2_captureparm *p) {
  if (is_busy(h, s) || h->streaming) return fail(EBUSY);
  double wanted = seconds(p->timeperframe), best = 1e9;
  for (int i = 0; i < s->mode_count; i++) {
    const struct mode *m = &s->modes[i];
    double distance = seconds(m->interval) - wanted;
    distance = distance < 0 ? -distance : distance;
    if (m->fourcc == h->mode.fourcc && m->width == h->mode.width && m->height == h->mode.height && distance < best)
      best = distance, h->mode.interval = m->interval;
  }
  if (s->rate_range) h->mode.interval = p->timeperframe;
  p->timeperframe = h->mode.interval;
  p->capability = V4L2_CAP_TIMEPERFRAME;
  return 0;
}

static int request_buffers(struct handle *h, const struct settings *s, struct v4l2_requestbuffers *r) {
  if (r->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
  if (r->count == 0 && s->stop_error) return fail(s->stop_error);
  free_buffers(h);
  if (r->count == 0) return 0;
  if (is_busy(h, s)) return fail(EBUSY);
  if (r->count > BUFFERS) r->count = BUFFERS;
  h->buffer_length = (size_of_image(&h->mode) + 4095) / 4096 * 4096;
  size_t size = (size_t)r->count * h->buffer_length;
  if (ftruncate(h->fd, size)) return -1;
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
  if (memory == MAP_FAILED) return -1;
  h->memory = memory;
  h->buffer_count = r->count;
  return 0;
}

static int start_stream(struct handle *h) {
  if (h->buffer_count == 0) return fail(EINVAL);
  load(&h->other, &h->mode, "-other");
  if (!load(&h->recording, &h->mode, "")) return fail(EIO);
  h->streaming = true;
  h->streaming_since_ns = now_ns(CLOCK_REALTIME);
  h->next_due_ns = now_ns(CLOCK_MONOTONIC) + NS_PER_S * h->mode.interval.numerator / h->mode.interval.denominator;
  h->next_number = 0;
  return 0;
}

static int dequeue(struct handle *h, struct v4l2_buffer *b) {
  if (!h->streaming) return fail(EINVAL);
  if (h->ready_count == 0) return fail(EAGAIN);
  struct ready ready = h->ready[0];
  memmove(h->ready, h->ready + 1, --h->ready_count * sizeof *h->ready);
  b->index = ready.index;
  b->bytesused = ready.bytes_used;
  b->length = h->buffer_length;
  b->sequence = ready.number;
  b->flags = ready.flags | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
  b->timestamp.tv_sec = ready.time_ns / NS_PER_S;
  b->timestamp.tv_usec = ready.time_ns % NS_PER_S / 1000;
  return 0;
}

static int answer(struct handle *h, const struct settings *s, unsigned long request, void *argument) {
  struct v4l2_buffer *buffer = argument;
  switch (request) {
    case VIDIOC_QUERYCAP: {
      struct v4l2_capability *c = argument;
      memset(c, 0, sizeof *c);
      strcpy((char *)c->driver, "emulator");
      memcpy(c->card, s->name, sizeof s->name);
      c->device_caps = V4L2_CAP_STREAMING | (s->metadata ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE);
      // The capabilities of all nodes of the device together.
      if (s->output) c->device_caps = V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_READWRITE;
      c->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_STREAMING | V4L2_CAP_META_CAPTURE | V4L2_CAP_VIDEO_CAPTURE;
      return 0;
    }
    case VIDIOC_ENUM_FMT:
      return s->metadata ? fail(EINVAL) : enumerate_formats(s, argument);
    case VIDIOC_ENUM_FRAMESIZES:
      return enumerate_sizes(s, argument);
    case VIDIOC_ENUM_FRAMEINTERVALS:
      return enumerate_intervals(s, argument);
    case VIDIOC_G_FMT:
      describe(&h->mode, &((struct v4l2_format *)argument)->fmt.pix);
      return 0;
    case VIDIOC_S_FMT:
      if (s->output) return set_output_format(s, argument);
      return set_format(h, s, &((struct v4l2_format *)argument)->fmt.pix, false);
    case VIDIOC_TRY_FMT:
      return set_format(h, s, &((struct v4l2_format *)argument)->fmt.pix, true);
    case VIDIOC_G_PARM:
      ((struct v4l2_streamparm *)argument)->parm.capture.timeperframe = h->mode.interval;
      ((struct v4l2_streamparm *)argument)->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
      return 0;
    case VIDIOC_S_PARM:
      return set_interval(h, s, &((struct v4l2_streamparm *)argument)->parm.capture);
    case VIDIOC_REQBUFS:
      return request_buffers(h, s, argument);
    case VIDIOC_QUERYBUF:
      if (buffer->index >= (uint32_t)h->buffer_count) return fail(EINVAL);
      buffer->length = h->buffer_length;
      buffer->m.offset = buffer->index * h->buffer_length;
      return 0;
    case VIDIOC_QBUF:
      if (buffer->index >= (uint32_t)h->buffer_count || h->waiting_count == BUFFERS) return fail(EINVAL);
      h->waiting[h->waiting_count++] = buffer->index;
      return 0;
    case VIDIOC_DQBUF:
      return dequeue(h, buffer);
    case VIDIOC_STREAMON:
      return start_stream(h);
    case VIDIOC_STREAMOFF:
      if (s->stop_error) return fail(s->stop_error);
      stop(h);
      return 0;
    default:
      return fail(ENOTTY);
  }
}

// False if the file is not an emulated camera.
static bool control(int fd, unsigned long request, void *argument, int *result) {
  if (!root) return false;
  pthread_mutex_lock(&lock);
  struct handle *h = handle_of(fd);
  struct settings s;
  if (h) {
    read_settings(h->node, &s);
    if ((request == VIDIOC_ENUM_FMT && s.hang_list) || (request == VIDIOC_S_FMT && s.hang_format) || (request == VIDIOC_DQBUF && s.hang_dequeue)) {
      pthread_mutex_unlock(&lock);
      wait_for_ever();
    }
    if (is_plugged_in(h)) {
      catch_up(h, &s);
      *result = answer(h, &s, request, argument);
    } else {
      *result = fail(s.stop_error && request == VIDIOC_STREAMOFF ? s.stop_error : ENODEV);
    }
  }
  pthread_mutex_unlock(&lock);
  return h != NULL;
}

// The events that a poll reports, and the earliest time at which that can change.
static short look(struct handle *h, int64_t *until_ns) {
  struct settings s;
  read_settings(h->node, &s);
  if (!is_plugged_in(h) || !h->streaming) return POLLERR | POLLHUP;
  catch_up(h, &s);
  *until_ns = h->next_due_ns;
  return h->ready_count > 0 ? POLLIN | POLLRDNORM : 0;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
  start();
  int64_t end_ns = timeout_ms < 0 ? INT64_MAX : now_ns(CLOCK_MONOTONIC) + timeout_ms * 1000000ll;
  for (;;) {
    pthread_mutex_lock(&lock);
    struct handle *h = root && count == 1 ? handle_of(fds[0].fd) : NULL;
    int64_t until_ns = INT64_MAX;
    short found = h ? look(h, &until_ns) : 0;
    pthread_mutex_unlock(&lock);
    if (!h) return real_poll(fds, count, timeout_ms);
    fds[0].revents = found & (fds[0].events | POLLERR | POLLHUP);
    if (fds[0].revents) return 1;
    int64_t now = now_ns(CLOCK_MONOTONIC);
    if (now >= end_ns) return 0;
    int64_t wake_ns = now + UNPLUG_POLL_INTERVAL_NS;
    if (until_ns < wake_ns) wake_ns = until_ns;
    if (end_ns < wake_ns) wake_ns = end_ns;
    struct timespec wake = {wake_ns / NS_PER_S, wake_ns % NS_PER_S};
    if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL) == EINTR) return fail(EINTR);
  }
}

long syscall(long number, ...) {
  start();
  va_list list;
  long a[6];
  int result;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_ioctl && control(a[0], a[1], (void *)a[2], &result)) return result;
  return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int ioctl(int fd, unsigned long request, ...) {
  start();
  va_list list;
  int result;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  if (control(fd, request, argument, &result)) return result;
  return real_syscall(SYS_ioctl, (long)fd, request, argument);
}

int open(const char *path, int flags, ...) {
  start();
  va_list list;
  va_start(list, flags);
  mode_t mode = va_arg(list, mode_t);
  va_end(list);
  int node = node_of(path);
  return node >= 0 ? open_node(node, flags) : real_open(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int openat(int folder, const char *path, int flags, ...) {
  start();
  va_list list;
  va_start(list, flags);
  mode_t mode = va_arg(list, mode_t);
  va_end(list);
  int node = node_of(path);
  return node >= 0 ? open_node(node, flags) : real_openat(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) __attribute__((alias("openat")));

ssize_t write(int fd, const void *bytes, size_t count) {
  start();
  pthread_mutex_lock(&lock);
  struct handle *h = root ? handle_of(fd) : NULL;
  bool is_gone = h && !is_plugged_in(h);
  pthread_mutex_unlock(&lock);
  return is_gone ? fail(ENODEV) : real_write(fd, bytes, count);
}

int close(int fd) {
  start();
  pthread_mutex_lock(&lock);
  struct handle *h = root ? handle_of(fd) : NULL;
  if (h) {
    free_buffers(h);
    forget(&h->recording);
    forget(&h->other);
    h->used = false;
  }
  pthread_mutex_unlock(&lock);
  return real_close(fd);
}

DIR *opendir(const char *path) {
  start();
  char own[4096];
  if (!root || (strcmp(path, "/dev") && strcmp(path, "/dev/"))) return real_opendir(path);
  snprintf(own, sizeof own, "%s/dev", root);
  return real_opendir(own);
}

ssize_t readlink(const char *path, char *target, size_t size) {
  start();
  char prefix[4096];
  ssize_t length = real_readlink(path, target, size);
  int own = root ? snprintf(prefix, sizeof prefix, "%s/dev/", root) : 0;
  if (!root || length < own || memcmp(target, prefix, own)) return length;
  memmove(target + 5, target + own, length - own);
  memcpy(target, "/dev/", 5);
  return length - own + 5;
}
