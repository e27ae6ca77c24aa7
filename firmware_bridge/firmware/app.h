/* The wheel controller itself: messages in, telemetry out, motors off whenever in doubt. */
#ifndef APP_H
#define APP_H

#include <stdint.h>

enum fault {
    FAULT_STOP = 0x01,     /* the host said stop */
    FAULT_WATCHDOG = 0x02, /* the watchdog reset the chip */
    FAULT_BROWNOUT = 0x04, /* the supply fell below the brown-out level */
    FAULT_BATTERY = 0x08,  /* the battery was below the limit for half a second */
    FAULT_BUMPER = 0x10,   /* driven forward with a bumper pressed */
    FAULT_STALL = 0x20,    /* much duty and no encoder tick */
    FAULT_ENCODER = 0x40,  /* impossible transitions, or the wheel turns against its motor */
    FAULT_TIMEOUT = 0x80   /* no valid command in time; gone with the next one, all others stay until cleared */
};
#define FAULTS_LATCHED 0x7FU

void app_init(void);
void app_poll(void); /* takes what came in and does what is due; call it over and over */

#endif
