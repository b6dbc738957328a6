/*
 * An ipmi_sim module: let "Chassis Control: pulse diagnostic interrupt" raise an NMI.
 *
 * Stock ipmi_sim answers that request (IPMI 2.0, section 28.3, control value 4h) with completion code CCh and
 * has no hook for it. This module takes the command over and hands every other control value on.
 *
 *   loadlib "/path/diag.so" "count=/path/nmi.count,sel,vm,delay=2.5"
 *
 *   count=FILE   append one line to FILE for each pulse: what a test counts
 *   vm           raise the NMI in the virtual machine on the system interface (`serial 15 ... codec VM`)
 *   sel          log the event that a real board logs: Critical Interrupt, Front Panel NMI
 *   delay=S      answer S seconds after the pulse, so that an impatient client sends again
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <OpenIPMI/ipmi_err.h>
#include <OpenIPMI/ipmi_msgbits.h>
#include <OpenIPMI/lanserv.h>
#include <OpenIPMI/mcserv.h>

/* Exported by the ipmi_sim program, declared in none of its installed headers. */
extern cmd_handler_f chassis_netfn_handlers[256];
extern channel_t **is_mc_get_channelset(lmc_data_t *mc);

enum {
    CONTROL_MASK = 0x0f,    /* the upper half of the control byte is reserved */
    PULSE_DIAGNOSTIC_INTERRUPT = 0x04,
    SYSTEM_INTERFACE = 15,  /* channel Fh, IPMI 2.0 table 6-1 */
};

static struct {
    char count[4096];
    bool vm;
    bool sel;
    double delay;
} options;

static cmd_handler_f stock_chassis_control;

/* True once the pulse is in the file: a pulse that no test can see must not look like a success. */
static bool count_pulse(void)
{
    struct timespec now;
    bool written;
    int file;

    if (!options.count[0])
        return true;
    file = open(options.count, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    clock_gettime(CLOCK_REALTIME, &now);
    written = dprintf(file, "%lld.%09ld NMI\n", (long long)now.tv_sec, now.tv_nsec) > 0;
    close(file);
    return written;
}

/* IPMI 2.0, tables 32-1 and 42-3. The simulator fills in record number and time. */
static void log_front_panel_nmi(lmc_data_t *mc)
{
    enum { SYSTEM_EVENT = 0x02 };
    unsigned char record[13] = {
        0, 0, 0, 0,        /* time stamp */
        0x20, 0x00,        /* generator: the BMC */
        0x04,              /* event message revision of IPMI 1.5 and 2.0 */
        0x13,              /* sensor type: Critical Interrupt */
        0x02,              /* sensor number, as in board.sdrs */
        0x6f,              /* assertion, sensor-specific */
        0x00, 0xff, 0xff,  /* offset 0: Front Panel NMI / Diagnostic Interrupt; no further data */
    };

    mc_new_event(mc, SYSTEM_EVENT, record);
}

static void wait_before_answer(void)
{
    struct timespec left = {
        .tv_sec = (time_t)options.delay,
        .tv_nsec = (long)((options.delay - (time_t)options.delay) * 1e9),
    };

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static unsigned char pulse(lmc_data_t *mc)
{
    channel_t *host = is_mc_get_channelset(mc)[SYSTEM_INTERFACE];

    if (options.vm && !(host && HW_OP_CAN_NMI(host)))
        return IPMI_NOT_SUPPORTED_IN_PRESENT_STATE_CC;
    if (!count_pulse())
        return IPMI_UNKNOWN_ERR_CC;
    if (options.vm)
        host->hw_op(host, HW_OP_SEND_NMI);
    if (options.sel)
        log_front_panel_nmi(mc);
    wait_before_answer();
    return 0;
}

static void chassis_control(lmc_data_t *mc, msg_t *msg, unsigned char *answer, unsigned int *length, void *data)
{
    if (msg->len < 1 || (msg->data[0] & CONTROL_MASK) != PULSE_DIAGNOSTIC_INTERRUPT) {
        stock_chassis_control(mc, msg, answer, length, data);
        return;
    }
    answer[0] = pulse(mc);
    *length = 1;
}

static bool set_option(const char *option)
{
    if (strncmp(option, "count=", 6) == 0)
        return snprintf(options.count, sizeof options.count, "%s", option + 6) < (int)sizeof options.count;
    if (strncmp(option, "delay=", 6) == 0)
        return (options.delay = strtod(option + 6, NULL)) >= 0;
    if (strcmp(option, "vm") == 0)
        return options.vm = true;
    if (strcmp(option, "sel") == 0)
        return options.sel = true;
    return false;
}

int ipmi_sim_module_print_version(sys_data_t *sys, const char *text)
{
    (void)sys;
    (void)text;
    puts("diag 1");
    return 0;
}

int ipmi_sim_module_init(sys_data_t *sys, const char *text)
{
    char *words = strdup(text ? text : ""), *rest = words, *option;

    (void)sys;
    while ((option = strsep(&rest, ","))) {
        if (!set_option(option)) {
            fprintf(stderr, "diag: bad option: '%s'\n", option);
            free(words);
            return EINVAL;
        }
    }
    free(words);
    stock_chassis_control = chassis_netfn_handlers[IPMI_CHASSIS_CONTROL_CMD];
    return ipmi_emu_register_cmd_handler(IPMI_CHASSIS_NETFN, IPMI_CHASSIS_CONTROL_CMD, chassis_control, NULL);
}
