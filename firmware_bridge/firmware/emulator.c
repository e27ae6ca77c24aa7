/* Runs the firmware's ELF on libsimavr, paced to the wall clock, with motors, encoders, battery, bumpers and range
 * sensors simulated around the chip and its UART on a pty or a TCP port.
 *
 *   emulator ELF [--link PATH] [--tcp PORT] [--wheels PORT]
 *
 * Commands come as lines on stdin, each is answered by one line of JSON on stdout. End of stdin ends it.
 *   state | edges | battery MV | bumper MASK | range I MM | stall I 0/1 | encoder I 0/1/2 | cut 0/1 | flip PPM | inject HEX
 *   unplug | plug | hang | brownout | reset | quit
 * --wheels: every 2 ms a datagram to this UDP port of the same machine with the wheels' speeds, two doubles, rad/s.
 * Times are microseconds of the emulated chip; *_wall_ns are CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_adc.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_timer.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>

#define CHIP "atmega328p"
#define CLOCK_HZ 16000000UL
#define WHEELS 2
#define TICKS_PER_REV 1320.0
#define STEP_CYCLES 256 /* of the motor model: 16 us */
#define PWM_PRESCALER 8U
#define SLICE_CYCLES 3200 /* between looks at the outside world: 200 us */
#define MAX_LAG_NS 90000000LL /* less than the firmware's command timeout */
#define RING 65536U
#define EDGES 8192U

/* ATmega328P data-space addresses */
enum { PINB_ = 0x23, PIND_ = 0x29, DDRB_ = 0x24, PORTB_ = 0x25, PORTD_ = 0x2B, MCUSR_ = 0x54, EICRA_ = 0x69, TCCR1A_ = 0x80, OCR1A_ = 0x88, OCR1B_ = 0x8A };
#define BORF_ 0x04

/* A 12 V gear motor of 25 rad/s seen at its output shaft, with a wheel's share of the robot. */
static const double KE = 0.45;        /* V s/rad, and N m/A */
static const double R_MOTOR = 2.4;    /* ohm */
static const double INERTIA = 0.004;  /* kg m2 */
static const double VISCOUS = 0.005;  /* N m s/rad */
static const double COULOMB = 0.08;   /* N m */
static const double R_BATTERY = 0.08; /* ohm */

/* how it is wired: rightly, A for B, or both phases to one sensor */
enum encoder { GOOD, SWAPPED, TOGETHER };

struct motor {
    double angle, speed, current;
    int64_t tick;
    bool level, stalled;
    int encoder; /* one of enum encoder */
    avr_cycle_count_t high_since, last_high;
    avr_cycle_count_t on_cycles; /* of this step */
};

struct edge {
    avr_cycle_count_t cycle;
    uint8_t wheel, level;
};

static avr_t *avr;
static avr_uart_t *uart;
static struct motor motors[WHEELS];
static double battery_v = 12.0, battery_now = 12.0;
static uint32_t range_mm[2] = {2000, 2000};
static uint8_t bumper;
static struct edge edges[EDGES];
static uint32_t edge_head, edge_tail;
static long resets;
static avr_irq_t *encoder_irq[4], *adc_irq[3], *bumper_irq[2];

static uint8_t in_ring[RING], out_ring[RING];
static uint32_t in_head, in_tail, out_head, out_tail;
static avr_cycle_count_t last_rx;
static int64_t last_rx_wall, last_high_wall;
static bool cut, hanging;
static uint32_t flip_ppm, random_state = 1;
static uint16_t saved_sleep;
static uint32_t sleep_at;
static long slips;
static uint64_t rx_bytes, tx_bytes, tx_lost;

static int line = -1, listener = -1;
static int wheels_out = -1;
static bool line_open; /* somebody holds the other end */
static const char *link_path;
static char pty_name[128];

static int64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double us(avr_cycle_count_t cycles)
{
    return (double)cycles / (double)(CLOCK_HZ / 1000000UL);
}

static uint32_t random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static void die(const char *what)
{
    fprintf(stderr, "emulator: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- PWM pins ---- */

static uint8_t comparator[WHEELS];
static avr_cycle_count_t risen[WHEELS];

/* What the pin does by the data sheet: simavr says nothing when the timer lets go of a pin, gives low at full duty, and
 * where the compare register is written within a period, begins the pulse anew and may miss its end; the chip takes the
 * new value from the next period on. */
static bool pin_level(int wheel)
{
    uint8_t bit = (uint8_t)(1U << (wheel + 1)); /* PB1, PB2 */
    if (!(avr->data[DDRB_] & bit))
        return false; /* floating: the driver's pull-down */
    uint8_t com = (uint8_t)((avr->data[TCCR1A_] >> (wheel ? 4 : 6)) & 3U);
    if (com != 2)
        return avr->data[PORTB_] & bit;
    unsigned compare = avr->data[wheel ? OCR1B_ : OCR1A_];
    return compare == 255 || (comparator[wheel] && avr->cycle - risen[wheel] <= (compare + 1U) * PWM_PRESCALER);
}

static bool driver_enabled(void)
{
    return (avr->data[DDRB_] & avr->data[PORTB_] & 0x10U) != 0; /* PB4 */
}

static void follow_pin(int wheel)
{
    struct motor *m = &motors[wheel];
    bool level = pin_level(wheel);
    if (level && driver_enabled()) {
        m->last_high = avr->cycle;
        last_high_wall = 0; /* filled in at the end of the slice */
    }
    if (level == m->level)
        return;
    if (level)
        m->high_since = avr->cycle;
    else
        m->on_cycles += avr->cycle - m->high_since;
    m->level = level;
    edges[edge_head++ % EDGES] = (struct edge){avr->cycle, (uint8_t)wheel, level};
    if (edge_head - edge_tail > EDGES)
        edge_tail = edge_head - EDGES;
}

static void on_comparator(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    int wheel = (int)(intptr_t)param;
    bool high = value & 1U;
    if (high && avr->cycle - risen[wheel] < 255U * PWM_PRESCALER)
        return; /* this period has had its pulse */
    if (high)
        risen[wheel] = avr->cycle;
    comparator[wheel] = high;
    follow_pin(wheel);
}

/* ---- motors ---- */

static void set_encoder(int wheel)
{
    static const uint8_t gray[4] = {0, 1, 3, 2};
    struct motor *m = &motors[wheel];
    uint8_t ab = gray[(m->encoder == SWAPPED ? -m->tick : m->tick) & 3];
    if (m->encoder == TOGETHER)
        ab = m->tick & 1 ? 3 : 0;
    uint8_t shift = (uint8_t)(2 + 2 * wheel);
    uint8_t before = avr->data[PIND_], after = (uint8_t)((before & ~(3U << shift)) | (unsigned)ab << shift);
    if (m->encoder == TOGETHER)
        avr->data[PIND_] = after; /* both have changed when the interrupt comes */
    avr_raise_irq(encoder_irq[2 * wheel], ab & 1U);
    avr_raise_irq(encoder_irq[2 * wheel + 1], ab >> 1);
    avr->data[PIND_] = after; /* after a reset simavr holds old levels for news */
}

static void step_motor(int wheel, double dt)
{
    struct motor *m = &motors[wheel];
    follow_pin(wheel);
    if (m->level) {
        m->on_cycles += avr->cycle - m->high_since;
        m->high_since = avr->cycle;
    }
    double duty = (double)m->on_cycles / STEP_CYCLES;
    m->on_cycles = 0;
    if (avr->data[PORTD_] & (1U << (6 + wheel)))
        duty = -duty;
    m->current = driver_enabled() ? (duty * battery_now - KE * m->speed) / R_MOTOR : 0.0;
    double torque = KE * m->current - VISCOUS * m->speed;
    double friction = COULOMB * dt / INERTIA;
    m->speed += torque * dt / INERTIA;
    if (fabs(m->speed) <= friction)
        m->speed = 0.0;
    else
        m->speed -= copysign(friction, m->speed);
    if (m->stalled)
        m->speed = 0.0;
    m->angle += m->speed * dt;
    int64_t tick = (int64_t)floor(m->angle * TICKS_PER_REV / (2.0 * M_PI));
    while (m->tick != tick) {
        m->tick += m->tick < tick ? 1 : -1;
        set_encoder(wheel);
    }
}

static void set_inputs(void)
{
    avr_raise_irq(adc_irq[0], (uint32_t)(battery_now / 3.0 * 1000.0));
    for (int i = 0; i < 2; i++)
        avr_raise_irq(adc_irq[1 + i], (uint32_t)((double)range_mm[i] / 12.7 * 5000.0 / 1023.0 + 2.5));
    avr_ioport_external_t pins = {.name = 'B', .mask = 0x09, .value = 0x09};
    for (int i = 0; i < 2; i++) {
        if (!((bumper >> i) & 1U))
            continue;
        pins.value &= (uint8_t)~(i ? 0x08U : 0x01U);
    }
    avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL('B'), &pins);
    for (int i = 0; i < 2; i++)
        avr_raise_irq(bumper_irq[i], (pins.value >> (3 * i)) & 1U);
    avr->data[PINB_] = (uint8_t)((avr->data[PINB_] & ~0x09U) | pins.value); /* as in set_encoder */
}

static avr_cycle_count_t step_world(avr_t *a, avr_cycle_count_t when, void *param)
{
    (void)a;
    (void)param;
    static unsigned count;
    double load = 0.0;
    for (int i = 0; i < WHEELS; i++) {
        step_motor(i, STEP_CYCLES / (double)CLOCK_HZ);
        load += motors[i].speed * motors[i].current >= 0.0 ? fabs(motors[i].current) : 0.0;
    }
    battery_now = battery_v - R_BATTERY * load;
    if (++count % 16 == 0)
        set_inputs();
    return when + STEP_CYCLES;
}

/* ---- UART ---- */

static avr_cycle_count_t feed_byte(avr_t *a, avr_cycle_count_t when, void *param)
{
    (void)param;
    if (in_head == in_tail)
        return 0;
    uint8_t byte = in_ring[in_tail++ % RING];
    if (flip_ppm && random_u32() % 1000000U < flip_ppm)
        byte ^= (uint8_t)(1U << (random_u32() & 7U));
    avr_raise_irq(uart->io.irq + UART_IRQ_INPUT, byte);
    last_rx = a->cycle;
    last_rx_wall = 0;
    rx_bytes++;
    return when + uart->cycles_per_byte;
}

static void take_byte(uint8_t byte)
{
    if (in_head - in_tail < RING)
        in_ring[in_head++ % RING] = byte;
}

static void on_output(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    (void)param;
    uint8_t byte = (uint8_t)value;
    if (flip_ppm && random_u32() % 1000000U < flip_ppm)
        byte ^= (uint8_t)(1U << (random_u32() & 7U));
    if (out_head - out_tail < RING)
        out_ring[out_head++ % RING] = byte;
    tx_bytes++;
}

static void plug(void)
{
    if (listener >= 0 || line >= 0)
        return;
    line = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (line < 0 || grantpt(line) || unlockpt(line) || ptsname_r(line, pty_name, sizeof pty_name))
        die("pty");
    struct termios t;
    tcgetattr(line, &t);
    cfmakeraw(&t);
    tcsetattr(line, TCSANOW, &t);
    int other = open(pty_name, O_RDWR | O_NOCTTY | O_CLOEXEC); /* from now on a pty that nobody holds reads EIO */
    if (other >= 0)
        close(other);
    if (link_path) {
        unlink(link_path);
        if (symlink(pty_name, link_path))
            die(link_path);
    }
}

static void unplug(void)
{
    if (line >= 0)
        close(line);
    line = -1;
    line_open = false;
    if (link_path)
        unlink(link_path);
}

static void exchange(void)
{
    uint8_t buffer[4096];
    if (listener >= 0 && line < 0) {
        line = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (line >= 0)
            setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
    if (line >= 0) {
        ssize_t n = read(line, buffer, sizeof buffer);
        line_open = n > 0 || (n < 0 && errno == EAGAIN);
        if (!line_open && listener >= 0) {
            close(line);
            line = -1;
        }
        if (n > 0 && !cut) {
            bool idle = in_head == in_tail;
            for (ssize_t i = 0; i < n; i++)
                take_byte(buffer[i]);
            if (idle && !avr_cycle_timer_status(avr, feed_byte, NULL))
                avr_cycle_timer_register(avr, uart->cycles_per_byte, feed_byte, NULL);
        }
    }
    size_t n = 0;
    while (out_tail != out_head && n < sizeof buffer)
        buffer[n++] = out_ring[out_tail++ % RING];
    if (n && (cut || !line_open))
        tx_lost += n;
    else if (n) {
        ssize_t written = write(line, buffer, n);
        tx_lost += n - (size_t)(written > 0 ? written : 0);
    }
}

/* ---- faults in the chip ---- */

static void patch_sleep(bool hang)
{
    if (hang && !hanging) {
        for (uint32_t at = 0; at + 1 < avr->flashend; at += 2) {
            uint16_t op = (uint16_t)(avr->flash[at] | avr->flash[at + 1] << 8);
            if (op == 0x9588) { /* SLEEP, once in the main loop: becomes a jump to itself */
                saved_sleep = op;
                sleep_at = at;
                avr->flash[at] = 0xFF;
                avr->flash[at + 1] = 0xCF;
                hanging = true;
                return;
            }
        }
    } else if (!hang && hanging) {
        avr->flash[sleep_at] = (uint8_t)saved_sleep;
        avr->flash[sleep_at + 1] = (uint8_t)(saved_sleep >> 8);
        hanging = false;
    }
}

static void after_reset(void)
{
    resets++;
    patch_sleep(false);
    /* simavr polls INT0 and INT1 in every cycle while their pins are low and level-triggered, though not enabled */
    avr->data[EICRA_] = 0x05;
    for (int i = 0; i < WHEELS; i++) {
        comparator[i] = 0;
        follow_pin(i);
        set_encoder(i);
    }
    set_inputs();
    avr_cycle_timer_register(avr, STEP_CYCLES, step_world, NULL);
    in_tail = in_head;
}

/* ---- commands ---- */

static unsigned stack_free(void)
{
    unsigned best = 0, run = 0;
    for (uint32_t i = 0x100; i <= avr->ramend; i++) {
        run = avr->data[i] == 0xC5 ? run + 1 : 0;
        if (run > best)
            best = run;
    }
    return best;
}

static void print_state(void)
{
    printf("{\"time_us\": %.3f, \"wall_ns\": %lld, \"last_rx_us\": %.3f, \"last_rx_wall_ns\": %lld, "
           "\"last_high_wall_ns\": %lld, \"enabled\": %s, \"battery_v\": %.3f, \"resets\": %ld, \"slips\": %ld, "
           "\"rx_bytes\": %llu, \"tx_bytes\": %llu, \"tx_lost\": %llu, \"waiting\": %u, \"stack_free\": %u, "
           "\"open\": %s, \"wheels\": [",
           us(avr->cycle), (long long)wall_ns(), us(last_rx), (long long)last_rx_wall, (long long)last_high_wall,
           driver_enabled() ? "true" : "false", battery_now, resets, slips, (unsigned long long)rx_bytes,
           (unsigned long long)tx_bytes, (unsigned long long)tx_lost, in_head - in_tail, stack_free(),
           line_open ? "true" : "false");
    for (int i = 0; i < WHEELS; i++)
        printf("%s{\"speed\": %.5f, \"angle\": %.5f, \"ticks\": %lld, \"last_high_us\": %.3f}", i ? ", " : "",
               motors[i].speed, motors[i].angle, (long long)motors[i].tick, us(motors[i].last_high));
    printf("]}\n");
}

static void print_edges(void)
{
    printf("[");
    for (bool first = true; edge_tail != edge_head; edge_tail++, first = false) {
        struct edge *e = &edges[edge_tail % EDGES];
        printf("%s[%.4f, %u, %u]", first ? "" : ", ", us(e->cycle), e->wheel, e->level);
    }
    printf("]\n");
}

static bool run_command(char *text)
{
    char name[16] = "", hex[512] = "";
    double a = 0.0, b = 0.0;
    sscanf(text, "%15s %lf %lf", name, &a, &b);
    int index = a != 0.0;
    if (!strcmp(name, "state")) {
        print_state();
        return true;
    }
    if (!strcmp(name, "edges")) {
        print_edges();
        return true;
    }
    if (!strcmp(name, "quit"))
        return false;
    if (!strcmp(name, "battery"))
        battery_v = a / 1000.0;
    else if (!strcmp(name, "bumper"))
        bumper = (uint8_t)a;
    else if (!strcmp(name, "range"))
        range_mm[index] = (uint32_t)b;
    else if (!strcmp(name, "stall"))
        motors[index].stalled = b != 0.0;
    else if (!strcmp(name, "encoder"))
        motors[index].encoder = (int)b;
    else if (!strcmp(name, "cut"))
        cut = a != 0.0;
    else if (!strcmp(name, "flip"))
        flip_ppm = (uint32_t)a;
    else if (!strcmp(name, "unplug"))
        unplug();
    else if (!strcmp(name, "plug"))
        plug();
    else if (!strcmp(name, "hang"))
        patch_sleep(true);
    else if (!strcmp(name, "reset") || !strcmp(name, "brownout")) {
        avr_reset(avr);
        avr->data[MCUSR_] = name[0] == 'b' ? BORF_ : 0x02;
        after_reset();
    } else if (!strcmp(name, "inject") && sscanf(text, "%*s %511s", hex) == 1) {
        bool idle = in_head == in_tail;
        unsigned byte;
        for (char *at = hex; sscanf(at, "%2x", &byte) == 1; at += 2)
            take_byte((uint8_t)byte);
        if (idle && !avr_cycle_timer_status(avr, feed_byte, NULL))
            avr_cycle_timer_register(avr, uart->cycles_per_byte, feed_byte, NULL);
    } else {
        printf("{\"error\": \"unknown command\"}\n");
        return true;
    }
    printf("{\"pty\": \"%s\"}\n", line >= 0 && listener < 0 ? pty_name : "");
    return true;
}

static bool read_commands(void)
{
    static char text[1024];
    static size_t size;
    struct pollfd p = {0, POLLIN, 0};
    if (poll(&p, 1, 0) <= 0)
        return true;
    ssize_t n = read(0, text + size, sizeof text - 1 - size);
    if (n <= 0)
        return false;
    size += (size_t)n;
    for (char *end; (end = memchr(text, '\n', size)) != NULL;) {
        *end = '\0';
        if (!run_command(text))
            return false;
        fflush(stdout);
        size -= (size_t)(end + 1 - text);
        memmove(text, end + 1, size);
    }
    if (size == sizeof text - 1)
        size = 0;
    return true;
}

static void no_sleep(avr_t *a, avr_cycle_count_t howlong)
{
    (void)a;
    (void)howlong;
}

static void quiet_log(avr_t *a, const int level, const char *format, va_list args)
{
    (void)a;
    if (level <= LOG_ERROR)
        vfprintf(stderr, format, args);
}

static void listen_on(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, size) || listen(listener, 1))
        die("tcp");
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("{\"tcp\": %d}\n", ntohs(at.sin_port));
}

static void tell_wheels_to(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    wheels_out = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wheels_out < 0 || connect(wheels_out, (struct sockaddr *)&at, sizeof at))
        die("wheels");
}

static void tell_wheels(void)
{
    double speeds[WHEELS];
    for (int i = 0; i < WHEELS; i++)
        speeds[i] = motors[i].speed;
    if (wheels_out >= 0 && send(wheels_out, speeds, sizeof speeds, 0) < 0 && errno != EAGAIN && errno != ECONNREFUSED)
        die("wheels"); /* refused: nobody listens yet, or no more */
}

int main(int argc, char **argv)
{
    int tcp = -1;
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--link") && i + 1 < argc)
            link_path = argv[++i];
        else if (!strcmp(argv[i], "--tcp") && i + 1 < argc)
            tcp = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--wheels") && i + 1 < argc)
            tell_wheels_to(atoi(argv[++i]));
    }
    signal(SIGPIPE, SIG_IGN);
    avr_global_logger_set(quiet_log);

    elf_firmware_t firmware;
    memset(&firmware, 0, sizeof firmware);
    if (argc < 2 || elf_read_firmware(argv[1], &firmware)) {
        fprintf(stderr, "emulator: %s: no firmware ELF\n", argc < 2 ? "" : argv[1]);
        return 1;
    }
    avr = avr_make_mcu_by_name(CHIP);
    if (!avr)
        die(CHIP);
    avr_init(avr);
    firmware.frequency = CLOCK_HZ;
    avr_load_firmware(avr, &firmware);
    avr->frequency = CLOCK_HZ;
    avr->vcc = avr->avcc = avr->aref = 5000;
    avr->sleep = no_sleep;
    memset(avr->data + 0x100 + firmware.datasize, 0xC5, avr->ramend + 1U - 0x100U - firmware.datasize);

    for (avr_io_t *io = avr->io_port; io; io = io->next)
        if (io->kind && !strcmp(io->kind, "uart"))
            uart = (avr_uart_t *)io;
    if (!uart)
        die("uart");
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_register_notify(uart->io.irq + UART_IRQ_OUTPUT, on_output, NULL);
    for (int i = 0; i < WHEELS; i++)
        avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_TIMER_GETIRQ('1'), TIMER_IRQ_OUT_COMP + i), on_comparator,
                                (void *)(intptr_t)i);
    for (int i = 0; i < 4; i++)
        encoder_irq[i] = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), 2 + i);
    for (int i = 0; i < 3; i++)
        adc_irq[i] = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC0 + i);
    bumper_irq[0] = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), 0);
    bumper_irq[1] = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), 3);

    if (tcp >= 0)
        listen_on(tcp);
    else {
        plug();
        printf("{\"pty\": \"%s\"}\n", pty_name);
    }
    fflush(stdout);

    after_reset();
    resets = 0;
    prctl(PR_SET_TIMERSLACK, 1000UL);
    setpriority(PRIO_PROCESS, 0, -10); /* a real chip waits for no other program; only root may, others go without */
    int64_t start = wall_ns();
    avr_cycle_count_t origin = avr->cycle;
    for (unsigned slice = 0;; slice++) {
        exchange();
        if (slice % 10 == 0)
            tell_wheels();
        if (slice % 8 == 0 && !read_commands())
            break;
        avr_cycle_count_t until = avr->cycle + SLICE_CYCLES;
        while (avr->cycle < until) {
            int state = avr_run(avr);
            if (state == cpu_Done || state == cpu_Crashed) {
                fprintf(stderr, "emulator: the firmware crashed at pc %#x\n", avr->pc);
                return 2;
            }
            if (avr->pc == 0 && !avr_cycle_timer_status(avr, step_world, NULL))
                after_reset();
        }
        int64_t now = wall_ns();
        if (!last_rx_wall)
            last_rx_wall = now;
        if (!last_high_wall)
            last_high_wall = now;
        int64_t due = start + (int64_t)((double)(avr->cycle - origin) * 1e9 / CLOCK_HZ);
        if (now - due > MAX_LAG_NS) { /* the computer was busy: less is made up, so much is lost to the chip */
            start += now - due;
            slips++;
        } else if (due > now) {
            struct timespec t = {due / 1000000000LL, due % 1000000000LL};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        }
    }
    unplug();
    return 0;
}
