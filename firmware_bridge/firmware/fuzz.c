/* A coverage-guided fuzzer of the firmware's portable part, for gcc: the sources under test are compiled with
 * -fsanitize=address,undefined -fsanitize-coverage=trace-pc, this file without the latter.
 *
 *   fuzz BYTES [SEED]
 *
 * An input is a script of operations: raw bytes, well-formed frames of any content, damaged frames, time, sensor
 * readings. Inputs that reach new edges are kept and mutated. It aborts when the wheels are driven though no velocity
 * was sent in this session, more than 100 ms after the last, or between a stop and a clear.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

#define INPUT_MAX 512U
#define CORPUS_MAX 8192U
#define MAP (1U << 16)

void host_reset(uint8_t cause);
void host_receive(const uint8_t *data, uint32_t size);
uint32_t host_take(uint8_t *data, uint32_t size);
void host_run(uint32_t us);
void host_encoder(uint8_t wheel, int32_t ticks);
void host_inputs(uint16_t battery, uint8_t bumper, uint16_t errors);
int16_t host_duty(uint8_t wheel);

static uint8_t seen[MAP];
static uint8_t edges[MAP];
static uintptr_t last_pc;
static uint64_t random_state = 0x9E3779B97F4A7C15ULL;

void __sanitizer_cov_trace_pc(void)
{
    uintptr_t pc = (uintptr_t)__builtin_return_address(0);
    uint32_t edge = (uint32_t)((pc >> 1) ^ (last_pc * 31U)) & (MAP - 1U);
    if (edges[edge] != 255)
        edges[edge]++;
    last_pc = pc;
}

static uint32_t rnd(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 11) % below;
}

static uint8_t bucket(uint8_t n)
{
    return n == 0 ? 0 : n < 4 ? (uint8_t)(1U << (n - 1)) : n < 8 ? 8 : n < 32 ? 16 : n < 128 ? 32 : 64;
}

static bool new_coverage(void)
{
    bool found = false;
    for (uint32_t i = 0; i < MAP; i++) {
        uint8_t b = bucket(edges[i]);
        if (b & (uint8_t)~seen[i]) {
            seen[i] |= b;
            found = true;
        }
    }
    return found;
}

/* ---- one input ---- */

static uint8_t session;
static uint32_t idle_us;
static bool commanded, stopped;
static uint64_t bytes_sent;

static void fail(const char *why)
{
    fprintf(stderr, "fuzz: %s\n", why);
    abort();
}

static void check(void)
{
    if (host_duty(0) == 0 && host_duty(1) == 0)
        return;
    if (!commanded)
        fail("moves though no velocity was sent in this session");
    if (stopped)
        fail("moves after stop");
    if (idle_us > 101000)
        fail("moves more than 100 ms after the last velocity");
}

static void pass(uint32_t us)
{
    host_run(us);
    idle_us += us;
    check();
}

static void find_session(void)
{
    static uint8_t out[65536];
    uint32_t n = host_take(out, sizeof out);
    struct decoder d;
    struct frame f;
    decoder_init(&d);
    for (uint32_t i = 0; i < n; i++)
        if (decoder_push(&d, out[i], &f) == DECODE_FRAME && f.type == MSG_CAPABILITIES)
            session = f.session;
}

static void send_frame(uint8_t type, uint8_t of_session, uint16_t sequence, const uint8_t *payload, uint8_t size,
                       uint16_t damage)
{
    uint8_t wire[FRAME_WIRE_MAX];
    struct frame f = {type, of_session, sequence, size, payload};
    uint8_t n = frame_encode(&f, wire);
    if (damage)
        wire[damage % n] ^= (uint8_t)(1U << (damage >> 13));
    else if (type == MSG_VELOCITY && session && of_session == session && size == 8) {
        commanded = true;
        idle_us = 0;
    } else if (type == MSG_STOP && size == 0)
        stopped = true;
    else if (type == MSG_CLEAR && size == 2 && of_session == session)
        stopped = false;
    else if (type == MSG_HELLO && size == 3 && of_session == 0)
        commanded = false;
    host_receive(wire, n);
    host_receive((const uint8_t *)"", damage ? 1 : 0); /* the delimiter itself may be what was damaged */
    bytes_sent += n;
    pass(1000);
    find_session();
}

static void run_input(const uint8_t *in, uint32_t size)
{
    uint16_t sequence = 0, errors = 0;
    const uint8_t hello[3] = {PROTOCOL_VERSION, 1, 2};
    static const uint8_t types[] = {MSG_HELLO, MSG_STOP, MSG_CLEAR, MSG_LIMITS, MSG_GAINS, MSG_VELOCITY};
    host_reset(size & 3U);
    session = 0;
    idle_us = 0;
    commanded = stopped = false;
    for (uint32_t i = 0; i < size;) {
        uint8_t op = in[i++];
        uint32_t left = size - i, n = op >> 3;
        if (n > left)
            n = left;
        switch (op & 7U) {
        case 0: /* raw bytes, ended by a delimiter so that what follows stands alone */
            host_receive(in + i, n);
            host_receive((const uint8_t *)"", 1);
            bytes_sent += n + 1;
            i += n;
            pass(1000);
            find_session();
            break;
        case 1: /* any frame */
            if (n < 2)
                break;
            send_frame((in[i] & 7U) < sizeof types ? types[in[i] & 7U] : in[i], in[i + 1] & 1U ? session : in[i + 1] >> 1,
                       ++sequence, in + i + 2, (uint8_t)(n - 2), 0);
            i += n;
            break;
        case 2:
            send_frame(MSG_HELLO, 0, ++sequence, hello, 3, 0);
            break;
        case 3: { /* a velocity, whole or with one bit wrong */
            uint8_t p[8] = {0};
            memcpy(p, in + i, n < 3 ? n : 3);
            memcpy(p + 4, in + i, n < 3 ? n : 3);
            p[2] = p[6] = 0;
            uint16_t damage = n > 4 ? get_u16(in + i + 3) : 0;
            sequence = (uint16_t)(sequence + (n > 5 ? in[i + 5] : 1));
            send_frame(MSG_VELOCITY, session, sequence, p, 8, damage);
            i += n < 6 ? n : 6;
            break;
        }
        case 4:
            pass(1000U * (n + 1U) * 4U);
            find_session();
            break;
        case 5:
            errors = (uint16_t)(errors + (n > 1 ? in[i + 1] / 16U : 0U));
            host_inputs((uint16_t)(n ? in[i] * 4U : 818U), n > 2 ? in[i + 2] & 3U : 0U, errors);
            i += n < 3 ? n : 3;
            break;
        case 6:
            host_encoder(op >> 7, (int8_t)(n ? in[i] : 1));
            i += n ? 1 : 0;
            break;
        default: {
            const uint8_t all[2] = {0xFF, 0xFF};
            if (n & 1U)
                send_frame(MSG_STOP, in[i], ++sequence, all, 0, 0);
            else
                send_frame(MSG_CLEAR, session, ++sequence, all, 2, 0);
        }
        }
    }
}

/* ---- the corpus ---- */

static struct input {
    uint16_t size;
    uint8_t data[INPUT_MAX];
} corpus[CORPUS_MAX];
static uint32_t corpus_size;

static void mutate(struct input *in)
{
    for (uint32_t k = 1 + rnd(6); k; k--) {
        uint32_t at = in->size ? rnd(in->size) : 0;
        switch (rnd(7)) {
        case 0:
            if (in->size)
                in->data[at] ^= (uint8_t)(1U << rnd(8));
            break;
        case 1:
            if (in->size)
                in->data[at] = (uint8_t)rnd(256);
            break;
        case 2:
            if (in->size)
                in->data[at] = (uint8_t)(in->data[at] + (rnd(2) ? 1 : -1));
            break;
        case 3: { /* insert */
            uint32_t n = 1 + rnd(8);
            if (in->size + n > INPUT_MAX)
                break;
            memmove(in->data + at + n, in->data + at, in->size - at);
            for (uint32_t i = 0; i < n; i++)
                in->data[at + i] = (uint8_t)rnd(256);
            in->size = (uint16_t)(in->size + n);
            break;
        }
        case 4: { /* delete */
            uint32_t n = 1 + rnd(8);
            if (at + n > in->size)
                break;
            memmove(in->data + at, in->data + at + n, in->size - at - n);
            in->size = (uint16_t)(in->size - n);
            break;
        }
        case 5: { /* splice */
            const struct input *other = &corpus[rnd(corpus_size)];
            uint32_t from = other->size ? rnd(other->size) : 0, n = other->size - from;
            if (at + n > INPUT_MAX)
                break;
            memcpy(in->data + at, other->data + from, n);
            in->size = (uint16_t)(at + n);
            break;
        }
        default: /* repeat a part */
            if (in->size >= 8 && in->size + 8U <= INPUT_MAX) {
                at = rnd(in->size - 7U);
                memcpy(in->data + in->size, in->data + at, 8);
                in->size = (uint16_t)(in->size + 8);
            }
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    if (argc > 2)
        random_state ^= strtoull(argv[2], NULL, 10) * 0xD1B54A32D192ED03ULL;
    static const uint8_t first[] = {2, 3 | 3 << 3, 0, 8, 0, 4, 7 | 1 << 3, 0, 7, 6, 1, 5, 0};
    corpus[0].size = sizeof first;
    memcpy(corpus[0].data, first, sizeof first);
    corpus_size = 1;
    uint64_t runs = 0;
    while (bytes_sent < wanted) {
        struct input in = corpus[rnd(corpus_size)];
        if (runs)
            mutate(&in);
        memset(edges, 0, sizeof edges);
        last_pc = 0;
        run_input(in.data, in.size);
        runs++;
        if (new_coverage() && corpus_size < CORPUS_MAX)
            corpus[corpus_size++] = in;
    }
    uint32_t reached = 0;
    for (uint32_t i = 0; i < MAP; i++)
        reached += seen[i] != 0;
    printf("{\"bytes\": %llu, \"runs\": %llu, \"corpus\": %u, \"edges\": %u}\n", (unsigned long long)bytes_sent,
           (unsigned long long)runs, corpus_size, reached);
    return 0;
}
