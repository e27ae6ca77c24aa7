/* ATmega328P at 16 MHz (Arduino Uno, Nano), no Arduino core. Pins, by Arduino name:
 *   D0/D1 UART    D2/D3 encoder 0 A/B    D4/D5 encoder 1 A/B    D6/D7 direction of motor 0/1
 *   D9/D10 PWM of motor 0/1 (7.8 kHz)    D12 driver enable      D8/D11 bumpers, to ground
 *   A0 battery (3:1 divider)             A1/A2 range sensors
 * Timer 1: PWM. Timer 2: the 1 kHz tick and the 4 us clock. Timer 0 is free. */
#include "hal.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/atomic.h>

#define RX_SIZE 128U /* powers of two: 2.5 ms of a saturated line at 500 kBd */
#define TX_SIZE 128U
#define TICK_4US (250000U / TICK_HZ)
#define ENABLE _BV(PB4)
#define PWM_PINS (_BV(PB1) | _BV(PB2))
#define DIRECTION_PINS (_BV(PD6) | _BV(PD7))
#define BUMPER_0 _BV(PB0)
#define BUMPER_1 _BV(PB3)
#define FAST_PWM_8BIT _BV(WGM10) /* with WGM12 in TCCR1B: mode 5 */

static volatile uint8_t rx[RX_SIZE], rx_head, tx[TX_SIZE], tx_tail;
static uint8_t rx_tail, tx_head;
static volatile uint16_t rx_overruns;

static volatile uint32_t ticks;
static volatile uint16_t tick_base_4us;
static volatile uint8_t control_due;
static volatile uint8_t armed_ms;

static volatile int32_t counts[2];
static volatile uint16_t edges[2];
static volatile uint16_t bad_edges;
static uint8_t phases;

static volatile uint16_t adc[1 + RANGES];

static uint8_t reset_cause __attribute__((section(".noinit")));
static uint8_t last_session __attribute__((section(".noinit")));

/* Before main, before .data: after a watchdog reset the watchdog still runs, at its shortest period. */
void early(void) __attribute__((naked, used, section(".init3")));
void early(void)
{
    reset_cause = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

static inline uint16_t now_4us(void) /* with interrupts off */
{
    uint8_t low = TCNT2;
    uint16_t base = tick_base_4us;
    if ((TIFR2 & _BV(OCF2A)) && low < TICK_4US / 2U)
        base = (uint16_t)(base + TICK_4US); /* the counter has wrapped, its interrupt waits */
    return (uint16_t)(base + low);
}

static inline void pwm_off(void)
{
    PORTB &= (uint8_t)~ENABLE;
    TCCR1A = FAST_PWM_8BIT; /* pins let go by the timer fall to PORTB, which is low */
    OCR1A = 0;
    OCR1B = 0;
}

ISR(USART_RX_vect)
{
    if (UCSR0A & (_BV(DOR0) | _BV(FE0)))
        rx_overruns++;
    uint8_t byte = UDR0;
    uint8_t next = (uint8_t)((rx_head + 1U) & (RX_SIZE - 1U));
    if (next == rx_tail)
        rx_overruns++;
    else {
        rx[rx_head] = byte;
        rx_head = next;
    }
}

ISR(USART_UDRE_vect)
{
    if (tx_tail == tx_head) {
        UCSR0B &= (uint8_t)~_BV(UDRIE0);
        return;
    }
    UDR0 = tx[tx_tail];
    tx_tail = (uint8_t)((tx_tail + 1U) & (TX_SIZE - 1U));
}

ISR(TIMER2_COMPA_vect)
{
    ticks++;
    tick_base_4us = (uint16_t)(tick_base_4us + TICK_4US);
    static uint8_t divider;
    if (++divider >= TICK_HZ / CONTROL_HZ) {
        divider = 0;
        control_due = 1;
    }
    if (armed_ms && --armed_ms == 0)
        pwm_off();
    if (!(ADCSRA & _BV(ADSC))) {
        uint8_t channel = ADMUX & 0x0F;
        adc[channel] = ADC;
        channel = channel < RANGES ? (uint8_t)(channel + 1U) : 0U;
        ADMUX = (uint8_t)(_BV(REFS0) | channel);
        ADCSRA |= _BV(ADSC);
    }
}

/* +1, -1, 0 or 2 (impossible) for old AB << 2 | new AB. */
static const int8_t step[16] = {0, 1, -1, 2, -1, 0, 2, 1, 1, 2, 0, -1, 2, -1, 1, 0};

static inline void count_edge(uint8_t wheel, uint8_t old, uint8_t now, uint16_t time)
{
    int8_t s = step[(uint8_t)(old << 2) | now];
    if (s == 2)
        bad_edges++;
    else if (s != 0) {
        counts[wheel] += s;
        edges[wheel] = time;
    }
}

ISR(PCINT2_vect)
{
    uint8_t now = (uint8_t)((PIND >> 2) & 0x0FU);
    uint16_t time = now_4us();
    count_edge(0, phases & 3U, now & 3U, time);
    count_edge(1, (uint8_t)(phases >> 2), (uint8_t)(now >> 2), time);
    phases = now;
}

void hal_init(void)
{
    DDRB = ENABLE | PWM_PINS;
    PORTB = BUMPER_0 | BUMPER_1;
    DDRD = DIRECTION_PINS | _BV(PD1);
    PORTD = 0;

    TCCR1A = FAST_PWM_8BIT;
    TCCR1B = _BV(WGM12) | _BV(CS11);

    TCCR2A = _BV(WGM21);
    OCR2A = TICK_4US - 1U;
    TIMSK2 = _BV(OCIE2A);
    TCCR2B = _BV(CS22); /* 16 MHz / 64 */

    UCSR0A = _BV(U2X0); /* before UBRR */
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UBRR0 = F_CPU / 8UL / BAUD_RATE - 1UL;
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);

    ADMUX = _BV(REFS0);
    ADCSRA = _BV(ADEN) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0);
    ADCSRA |= _BV(ADSC);
    while (ADCSRA & _BV(ADSC)) {
    }
    for (uint8_t i = 0; i <= RANGES; i++)
        adc[i] = ADC; /* until each channel has had its turn; the battery must not seem empty */

    phases = (uint8_t)((PIND >> 2) & 0x0FU);
    PCMSK2 = _BV(PD2) | _BV(PD3) | _BV(PD4) | _BV(PD5);
    PCICR = _BV(PCIE2);

    SMCR = 0; /* sleep means idle: timers and UART go on */
    wdt_enable(WDTO_60MS);
    sei();
}

uint8_t hal_reset_cause(void)
{
    uint8_t cause = 0;
    if (reset_cause & _BV(WDRF))
        cause |= RESET_WATCHDOG;
    if ((reset_cause & _BV(BORF)) && !(reset_cause & _BV(PORF))) /* power-on sets both */
        cause |= RESET_BROWNOUT;
    return cause;
}

bool hal_rx(uint8_t *byte)
{
    if (rx_tail == rx_head)
        return false;
    *byte = rx[rx_tail];
    rx_tail = (uint8_t)((rx_tail + 1U) & (RX_SIZE - 1U));
    return true;
}

bool hal_tx(const uint8_t *data, uint8_t size)
{
    uint8_t room = (uint8_t)((uint8_t)(tx_tail - tx_head - 1) & (TX_SIZE - 1U));
    if (size > room)
        return false;
    uint8_t head = tx_head;
    while (size--) {
        tx[head] = *data++;
        head = (uint8_t)((head + 1U) & (TX_SIZE - 1U));
    }
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        tx_head = head;
        UCSR0B |= _BV(UDRIE0);
    }
    return true;
}

uint16_t hal_rx_overruns(void)
{
    uint16_t n;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { n = rx_overruns; }
    return n;
}

uint32_t hal_time_us(void)
{
    uint32_t t;
    uint8_t low;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        low = TCNT2;
        t = ticks;
        if ((TIFR2 & _BV(OCF2A)) && low < TICK_4US / 2U)
            t++;
    }
    return t * (1000000UL / TICK_HZ) + low * 4UL;
}

uint16_t hal_now_4us(void)
{
    uint16_t t;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { t = now_4us(); }
    return t;
}

bool hal_control_due(void)
{
    if (!control_due)
        return false;
    control_due = 0;
    return true;
}

void hal_encoder(uint8_t wheel, int32_t *count, uint16_t *edge_4us)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        *count = counts[wheel];
        *edge_4us = edges[wheel];
    }
}

uint16_t hal_encoder_errors(void)
{
    uint16_t n;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { n = bad_edges; }
    return n;
}

void hal_arm(void)
{
    armed_ms = COMMAND_TIMEOUT_MS;
}

bool hal_armed(void)
{
    return armed_ms != 0;
}

void hal_motors_off(void)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        armed_ms = 0;
        pwm_off();
    }
}

void hal_motor(uint8_t wheel, int16_t duty)
{
    uint8_t size = (uint8_t)(duty < 0 ? -duty : duty);
    uint8_t compare = wheel ? _BV(COM1B1) : _BV(COM1A1);
    uint8_t direction = wheel ? _BV(PD7) : _BV(PD6);
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        if (armed_ms) { /* else the tick has just disarmed, and that stands */
            if (duty < 0)
                PORTD |= direction;
            else
                PORTD &= (uint8_t)~direction;
            if (wheel)
                OCR1B = size;
            else
                OCR1A = size;
            if (size) {
                TCCR1A |= compare;
                PORTB |= ENABLE;
            } else {
                TCCR1A &= (uint8_t)~compare; /* fast PWM would still give a spike of 1/256 */
            }
        }
    }
}

uint16_t hal_adc(uint8_t channel)
{
    uint16_t v;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { v = adc[channel]; }
    return v;
}

uint8_t hal_bumper(void)
{
    uint8_t pins = PINB;
    return (uint8_t)((pins & BUMPER_0 ? 0U : 1U) | (pins & BUMPER_1 ? 0U : 2U));
}

uint8_t hal_next_session(void)
{
    if (++last_session == 0)
        last_session = 1;
    return last_session;
}

void hal_watchdog(void)
{
    wdt_reset();
}

void hal_idle(void)
{
    cli();
    if (rx_tail == rx_head && !control_due) {
        sleep_enable();
        sei(); /* the instruction after sei still runs with interrupts off: nothing is missed */
        sleep_cpu();
        sleep_disable();
    }
    sei();
}
