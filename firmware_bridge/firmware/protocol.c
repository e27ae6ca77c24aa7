#include "protocol.h"

#include <string.h>

#ifdef __AVR__
#include <util/crc16.h>
#define crc16_update _crc_xmodem_update
#else
static uint16_t crc16_update(uint16_t crc, uint8_t byte)
{
    crc ^= (uint16_t)((uint16_t)byte << 8);
    for (uint8_t bit = 0; bit < 8; bit++)
        crc = (uint16_t)((crc & 0x8000U) ? ((uint32_t)crc << 1) ^ 0x1021U : (uint32_t)crc << 1);
    return crc;
}
#endif

uint16_t crc16(const uint8_t *data, uint8_t size)
{
    uint16_t crc = 0xFFFFU;
    while (size--)
        crc = crc16_update(crc, *data++);
    return crc;
}

void put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void put_u32(uint8_t *p, uint32_t v)
{
    put_u16(p, (uint16_t)v);
    put_u16(p + 2, (uint16_t)(v >> 16));
}

uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | ((uint16_t)p[1] << 8));
}

uint32_t get_u32(const uint8_t *p)
{
    return get_u16(p) | ((uint32_t)get_u16(p + 2) << 16);
}

void decoder_init(struct decoder *d)
{
    d->size = 0;
    d->overflow = false;
}

/* Undoes COBS in place. Returns the decoded size, 0 if the bytes are no COBS block. */
static uint8_t cobs_decode(uint8_t *data, uint8_t size)
{
    uint8_t in = 0, out = 0;
    while (in < size) {
        uint8_t code = data[in++];
        if (code - 1U > (unsigned)(size - in))
            return 0;
        for (uint8_t i = 1; i < code; i++)
            data[out++] = data[in++];
        if (in < size) /* frames are shorter than 254 bytes, so every block but the last stands for a zero */
            data[out++] = 0;
    }
    return out;
}

enum decode_result decoder_push(struct decoder *d, uint8_t byte, struct frame *out)
{
    if (byte != 0) {
        if (d->size < sizeof d->buffer)
            d->buffer[d->size++] = byte;
        else
            d->overflow = true;
        return DECODE_MORE;
    }
    uint8_t size = d->size;
    bool overflow = d->overflow;
    decoder_init(d);
    if (size == 0)
        return DECODE_MORE; /* delimiters may be repeated */
    if (overflow)
        return DECODE_FRAMING;
    size = cobs_decode(d->buffer, size);
    if (size < FRAME_HEADER + FRAME_CRC)
        return DECODE_FRAMING;
    size = (uint8_t)(size - FRAME_CRC);
    if (crc16(d->buffer, size) != get_u16(d->buffer + size))
        return DECODE_CRC;
    out->type = d->buffer[0];
    out->session = d->buffer[1];
    out->sequence = get_u16(d->buffer + 2);
    out->payload = d->buffer + FRAME_HEADER;
    out->size = (uint8_t)(size - FRAME_HEADER);
    return DECODE_FRAME;
}

uint8_t frame_encode(const struct frame *f, uint8_t *wire)
{
    if (f->size > FRAME_PAYLOAD_MAX)
        return 0;
    uint8_t *raw = wire + 1;
    raw[0] = f->type;
    raw[1] = f->session;
    put_u16(raw + 2, f->sequence);
    memcpy(raw + FRAME_HEADER, f->payload, f->size);
    uint8_t size = (uint8_t)(FRAME_HEADER + f->size);
    put_u16(raw + size, crc16(raw, size));
    size = (uint8_t)(size + FRAME_CRC);

    /* COBS in place: each zero becomes the distance to the next, the first distance goes in front. */
    uint8_t code_at = 0, code = 1;
    for (uint8_t i = 1; i <= size; i++) {
        if (wire[i] == 0) {
            wire[code_at] = code;
            code_at = i;
            code = 1;
        } else {
            code++;
        }
    }
    wire[code_at] = code;
    wire[size + 1] = 0;
    return (uint8_t)(size + 2);
}
