/* Speed from encoder edges, and a PID controller with anti-windup. Pure functions of their arguments. */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct gains {
    float kp, ki, kd, kff;
};

struct pid {
    float integral;   /* in duty */
    float last_speed; /* rad/s */
};

/* u = kff r + kp e + integral(ki e) - kd dw/dt, clamped to -1 .. 1. The integral stands still while the output is
 * clamped and the error would push it further out. */
float pid_step(struct pid *p, const struct gains *g, float reference, float speed, float dt);
void pid_reset(struct pid *p, float speed);

struct speed_meter {
    int32_t count;
    uint16_t edge;    /* time of the newest edge, 4 us */
    uint16_t silence; /* control steps without an edge */
    float speed;      /* rad/s */
};

/* Ticks divided by the time between their edges, not by the sample time: 4 us of resolution at any speed.
 * Without a new edge the speed falls to what one tick since the last edge would mean. */
float speed_step(struct speed_meter *m, int32_t count, uint16_t edge, uint16_t now, float rad_per_tick);

#endif
