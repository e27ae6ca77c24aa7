#include "control.h"

#include "config.h"

#define STEP_4US (250000U / CONTROL_HZ)
#define SILENT_STEPS (CONTROL_HZ / 10U) /* 0.1 s without an edge: standing */

float pid_step(struct pid *p, const struct gains *g, float reference, float speed, float dt)
{
    float error = reference - speed;
    float change = g->ki * error * dt;
    float u = g->kff * reference + g->kp * error + p->integral - g->kd * (speed - p->last_speed) / dt;
    p->last_speed = speed;
    if (u > 1.0f) {
        if (change < 0.0f)
            p->integral += change;
        return 1.0f;
    }
    if (u < -1.0f) {
        if (change > 0.0f)
            p->integral += change;
        return -1.0f;
    }
    p->integral += change;
    return u;
}

void pid_reset(struct pid *p, float speed)
{
    p->integral = 0.0f;
    p->last_speed = speed;
}

float speed_step(struct speed_meter *m, int32_t count, uint16_t edge, uint16_t now, float rad_per_tick)
{
    int32_t ticks = (int32_t)((uint32_t)count - (uint32_t)m->count);
    if (ticks != 0) {
        uint16_t span = (uint16_t)(edge - m->edge);
        /* after a pause the last edge says nothing about the speed now: this sample's own time does */
        if (m->silence >= SILENT_STEPS || span == 0)
            span = STEP_4US;
        m->speed = (float)ticks * rad_per_tick / ((float)span * 4e-6f);
        m->count = count;
        m->edge = edge;
        m->silence = 0;
    } else if (++m->silence >= SILENT_STEPS) {
        m->silence = SILENT_STEPS;
        m->speed = 0.0f;
    } else {
        float bound = rad_per_tick / ((float)(uint16_t)(now - m->edge + 1U) * 4e-6f);
        if (m->speed > bound)
            m->speed = bound;
        else if (m->speed < -bound)
            m->speed = -bound;
    }
    return m->speed;
}
