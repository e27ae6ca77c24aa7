/* What differs from robot to robot: geometry of the encoders, default gains and limits. */
#ifndef CONFIG_H
#define CONFIG_H

#define WHEELS 2
#define RANGES 2

#define BAUD_RATE 500000UL
#define TICK_HZ 1000U     /* hardware tick: millisecond clock, command timeout, ADC */
#define CONTROL_HZ 200U   /* PID rate */
#define TELEMETRY_HZ 125U
#define COMMAND_TIMEOUT_MS 100U

#define TICKS_PER_REV 1320UL /* 11 pulses * 4 edges * gear 30 */
#define MAX_SPEED_MRAD 18000UL
#define MAX_ACCEL_MRAD 120000UL
#define MIN_BATTERY_MV 9600U

/* Duty is a fraction of full voltage, -1 .. 1; speeds are rad/s. */
#define GAIN_KP 0.1f
#define GAIN_KI 1.0f
#define GAIN_KD 0.0f
#define GAIN_KFF 0.037f

#define STALL_MS 500U /* this long at STALL_DUTY or more without one encoder tick: stalled */
#define STALL_DUTY 0.6f

#define DEVICE_NAME "hc-wheels"
#define DEVICE_SERIAL {'0', '0', '0', '0', '0', '0', '0', '1'}

#endif
