/* Frames of the serial link as docs/link.md writes them down: COBS, CRC-16, header. No hardware in here. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#define PROTOCOL_VERSION 1U

#define FRAME_HEADER 4U /* type, session, sequence (2) */
#define FRAME_CRC 2U
#define FRAME_PAYLOAD_MAX 64U
#define FRAME_MAX (FRAME_HEADER + FRAME_PAYLOAD_MAX + FRAME_CRC)
#define FRAME_WIRE_MAX (FRAME_MAX + 2U) /* + COBS code byte + delimiter */

enum message_type {
    MSG_HELLO = 0x01,
    MSG_STOP = 0x02,
    MSG_CLEAR = 0x03,
    MSG_LIMITS = 0x04,
    MSG_GAINS = 0x05,
    MSG_VELOCITY = 0x10,
    MSG_CAPABILITIES = 0x81,
    MSG_ACK = 0x82,
    MSG_TELEMETRY = 0x90,
    MSG_LOG = 0x91,
    MSG_COUNTERS = 0x92,
};

enum ack_status { ACK_OK = 0, ACK_BAD_VALUE = 1, ACK_BAD_LENGTH = 2 };

struct frame {
    uint8_t type;
    uint8_t session;
    uint16_t sequence;
    uint8_t size; /* of the payload */
    const uint8_t *payload;
};

enum decode_result {
    DECODE_MORE = 0,   /* the frame has not ended yet */
    DECODE_FRAME = 1,  /* a whole frame with a good CRC */
    DECODE_FRAMING = 2,/* dropped: too long, too short or no COBS */
    DECODE_CRC = 3     /* dropped: CRC does not fit */
};

struct decoder {
    uint8_t buffer[FRAME_MAX + 1U];
    uint8_t size;
    bool overflow;
};

uint16_t crc16(const uint8_t *data, uint8_t size);

void decoder_init(struct decoder *d);

/* Takes one byte from the wire. On DECODE_FRAME *out points into d and is valid until the next call. */
enum decode_result decoder_push(struct decoder *d, uint8_t byte, struct frame *out);

/* Writes the frame as it goes on the wire into wire[FRAME_WIRE_MAX]; returns its length, 0 if too long. */
uint8_t frame_encode(const struct frame *f, uint8_t *wire);

void put_u16(uint8_t *p, uint16_t v);
void put_u32(uint8_t *p, uint32_t v);
uint16_t get_u16(const uint8_t *p);
uint32_t get_u32(const uint8_t *p);

#endif
