/* The one table of keys. YAML, --set, --help, --print-config and the manual read it; adding a key is adding a row. */
#include "config/options.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum {
    SI = 1u << LG_MODEL_SI,
    PRW = 1u << LG_MODEL_PRW,
    MK = 1u << LG_MODEL_MK,
    LATTICE = SI | MK,
    ANY = SI | PRW | MK,
    SIM = 1u << LG_TASK_simulate,
    PAIR = 1u << LG_TASK_transition,
    TRAJ = 1u << LG_TASK_trajectory | 1u << LG_TASK_formation,
    STAB = 1u << LG_TASK_stability,
    FIT = PAIR | TRAJ | STAB,
    ALL = SIM | FIT
};

#define COUNT "[1, 4294967295]"
#define COUNT0 "[0, 4294967295]"
#define SEED "[0, 18446744073709551615]"

/* key, type, default ("": see `defaults` below, or none), unit, range, help; kind, models, tasks */
static const lg_option_row rows[] = {
    {{"model", LG_OPT_STRING, "", "", "si|prw|mk",
      "model to run: spread of news, random walk, reaction-diffusion; required"},
     LG_KIND_VALUE,
     ANY,
     ALL},
    {{"task", LG_OPT_STRING, "", "", "simulate|transition|trajectory|formation|stability",
      "what is compared with the data; default: si transition, prw trajectory, mk stability"},
     LG_KIND_VALUE,
     ANY,
     ALL},
    {{"lattice.height", LG_OPT_INT, "64", "sites", "[3, 65536]", "rows of the lattice"}, LG_KIND_VALUE, LATTICE, ALL},
    {{"lattice.width", LG_OPT_INT, "64", "sites", "[3, 65536]", "columns of the lattice"}, LG_KIND_VALUE, LATTICE, ALL},
    {{"lattice.capacity", LG_OPT_INT, "50", "particles", "[3, 255]", "largest count N of each species at a site"},
     LG_KIND_VALUE,
     MK,
     ALL},
    {{"lattice.gamma", LG_OPT_REAL, "0.005", "1/step", "(0, inf)", "reaction rate that scales k1, k2, k3"},
     LG_KIND_VALUE,
     MK,
     ALL},

    {{"params.NAME", LG_OPT_REAL, "", "", "", "a number holds the parameter fixed"}, LG_KIND_VALUE, ANY, ALL},
    {{"params.NAME.start", LG_OPT_REAL, "", "", "", "start value of a fitted parameter; default: the model's"},
     LG_KIND_VALUE,
     ANY,
     ALL},
    {{"params.NAME.bounds", LG_OPT_LIST, "", "", "two increasing numbers", "interval a fitted parameter is kept in"},
     LG_KIND_VALUE,
     ANY,
     ALL},
    {{"params.NAME.transform", LG_OPT_STRING, "", "", "none|logit", "coordinate of the updates; default: the model's"},
     LG_KIND_VALUE,
     ANY,
     ALL},

    {{"data.start", LG_OPT_STRING, "", "", "",
      "start state, a name or an array file; default: si centre, mk uniform, mk stability the reference"},
     LG_KIND_STATE,
     LATTICE,
     SIM | TRAJ | STAB},
    {{"data.reference", LG_OPT_STRING, "", "", "", "array file of the reference state"}, LG_KIND_PATH, LATTICE, STAB},
    {{"data.frames", LG_OPT_STRING, "", "", "", "array file of lattice states over time"},
     LG_KIND_PATH,
     LATTICE,
     PAIR | TRAJ},
    {{"data.tracks", LG_OPT_STRING, "", "", "", "CSV file of tracks: id,t,x,y[,z]"}, LG_KIND_PATH, PRW, TRAJ},
    {{"data.msd", LG_OPT_STRING, "", "", "", "CSV file of mean square displacements"}, LG_KIND_PATH, PRW, TRAJ},
    {{"data.variant", LG_OPT_STRING, "time", "", "time|index|nonoverlap|start",
      "pairs of positions that enter the MSD of tracks"},
     LG_KIND_VALUE,
     PRW,
     TRAJ},
    {{"data.interval", LG_OPT_REAL, "0", "time unit of the tracks", "[0, inf)",
      "frame interval; 0: the smallest time step in the tracks"},
     LG_KIND_VALUE,
     PRW,
     TRAJ},
    {{"data.spacing2", LG_OPT_REAL, "1", "length unit of the data squared", "(0, inf)", "lattice spacing squared"},
     LG_KIND_VALUE,
     PRW,
     TRAJ},
    {{"data.weights", LG_OPT_STRING, "none", "", "none|sem|model",
      "weight of statistics: 1, 1/sem^2, or inverse covariance of the model's runs (lattices, fd); formation: sem"},
     LG_KIND_VALUE,
     ANY,
     TRAJ},
    {{"data.pilot", LG_OPT_INT, "256", "runs", "[8, 65536]",
      "data.weights model: runs at the start values that the covariance is taken from"},
     LG_KIND_VALUE,
     LATTICE,
     TRAJ},
    {{"data.record_every", LG_OPT_INT, "1", "steps", COUNT,
      "steps between recorded statistics; default of formation: 2500"},
     LG_KIND_VALUE,
     LATTICE,
     SIM | TRAJ},
    {{"data.generate.runs", LG_OPT_INT, "", "runs or walkers", COUNT,
      "synthetic data: number of runs; default: si 100, prw 15000, mk 1, formation 10"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"data.generate.steps", LG_OPT_INT, "", "steps", COUNT,
      "synthetic data: length of a run; default: si 50, prw and formation as steps, mk 50000"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"data.generate.seed", LG_OPT_INT, "1", "", SEED, "synthetic data: seed of its noise"}, LG_KIND_VALUE, ANY, FIT},
    {{"data.generate.start", LG_OPT_STRING, "", "", "",
      "synthetic data: start state, a name or an array file; default: si centre, mk stripe"},
     LG_KIND_STATE,
     LATTICE,
     FIT},
    {{"data.generate.params.NAME", LG_OPT_REAL, "", "", "", "synthetic data: true value of a parameter"},
     LG_KIND_VALUE,
     ANY,
     FIT},

    {{"steps", LG_OPT_INT, "", "steps", COUNT,
      "simulation steps per gradient; default: transition 1, si 50, prw 10, mk 500"},
     LG_KIND_VALUE,
     ANY,
     ALL},
    {{"loss", LG_OPT_STRING, "", "", "sse|mse|log_sse|count|nll|stat",
      "what is minimised; default: sse, trajectory of a lattice stat, mk stability log_sse"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"estimator.method", LG_OPT_STRING, "pathwise", "", "pathwise|score|fd|exact",
      "gradient: through the draws, likelihood ratio, finite differences, or closed form (si nll, prw)"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"estimator.binary", LG_OPT_STRING, "ste", "", "ste|gs|gr",
      "pathwise, yes-or-no draws: straight-through, Gumbel-softmax (biased for squared errors), Gumbel-Rao; prw: gs"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"estimator.categorical", LG_OPT_STRING, "gs", "", "gs|gr", "pathwise, draws among several classes"},
     LG_KIND_VALUE,
     PRW | MK,
     FIT},
    {{"estimator.draws", LG_OPT_INT, "10", "", "[1, 64]", "gr: draws of the Gumbel noise that are averaged"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"estimator.tau", LG_OPT_REAL, "1", "", "(0, inf)", "temperature of the softmax in gs and gr"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"estimator.tau_end", LG_OPT_REAL, "0", "", "[0, inf)",
      "temperature at the last iteration, reached geometrically; 0: tau throughout"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"estimator.fd_step", LG_OPT_REAL, "0.1", "", "(0, inf)",
      "fd: step in logit p, or relative to p where the parameter has no transform"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"estimator.v0", LG_OPT_STRING, "gs", "", "gs|const", "initial velocity: with gradient, or held constant"},
     LG_KIND_VALUE,
     PRW,
     FIT},

    {{"optimizer.name", LG_OPT_STRING, "", "", "sgd|adam|lm", "update rule; default: si and mk sgd, prw adam"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.lr", LG_OPT_REAL, "", "", "(0, inf)", "learning rate; default: si 1e-7, prw 0.01, mk 0.05"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.momentum", LG_OPT_REAL, "0", "", "[0, 1)", "momentum of sgd"}, LG_KIND_VALUE, ANY, FIT},
    {{"optimizer.beta1", LG_OPT_REAL, "0.9", "", "[0, 1)", "adam: decay of the mean gradient"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.beta2", LG_OPT_REAL, "0.999", "", "[0, 1)", "adam: decay of the mean squared gradient"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.epsilon", LG_OPT_REAL, "1e-8", "", "(0, inf)", "adam: added to the root mean square"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.damping", LG_OPT_REAL, "0.001", "", "[0, inf)",
      "lm: share of the diagonal of the normal equations that is added to it"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.schedule", LG_OPT_STRING, "constant", "", "constant|step|exponential|cosine",
      "learning rate over the iterations"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.decay", LG_OPT_REAL, "0.1", "", "(0, 1]", "factor per period of the step and exponential schedules"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.period", LG_OPT_INT, "1000", "iterations", COUNT, "period of these schedules"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"optimizer.clip", LG_OPT_REAL, "0", "", "[0, inf)", "largest norm of the gradient; 0: no limit"},
     LG_KIND_VALUE,
     ANY,
     FIT},

    {{"method.name", LG_OPT_STRING, "gradient", "", "gradient|random|abc|abc_smc|cma_es|nlopt",
      "how parameters are found: by gradients (optimizer.*), or by one of the searches without them"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.population", LG_OPT_INT, "0", "", "[0, 16777216]",
      "candidates of a batch; 0: random and abc 64, abc_smc 200, cma_es 12 + 9 ln(parameters), nlopt 1"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.simulations", LG_OPT_INT, "10000", "", COUNT,
      "candidates that may be evaluated in all, each with `replicates` runs"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.accept", LG_OPT_REAL, "0.05", "", "(0, 1]",
      "abc: the closest part of the candidates that is kept, where method.distance is 0"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.quantile", LG_OPT_REAL, "0.5", "", "(0, 1)",
      "abc_smc: the next tolerance is this quantile of the distances"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.distance", LG_OPT_REAL, "0", "", "[0, inf)",
      "abc, abc_smc: the loss up to which candidates are taken; 0: by accept and quantile alone"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.least_acceptance", LG_OPT_REAL, "0.01", "", "(0, 1]",
      "abc_smc: stop where a smaller part of the proposals is accepted"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.sigma", LG_OPT_REAL, "0.2", "", "(0, 1]", "cma_es, nlopt: first step, as a share of the bounds"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.tolerance", LG_OPT_REAL, "1e-6", "", "(0, 1)",
      "cma_es, nlopt: stop where steps are below this share of the bounds"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"method.algorithm", LG_OPT_STRING, "sbplx", "", "sbplx|neldermead|bobyqa|cobyla", "nlopt: algorithm"},
     LG_KIND_VALUE,
     ANY,
     FIT},

    {{"iterations", LG_OPT_INT, "", "", COUNT, "updates of the parameters; default: si 6000, prw 10000, mk 4000"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"epochs", LG_OPT_INT, "0", "", COUNT0,
      "passes over all pairs; if above 0, iterations = epochs * pairs / replicates"},
     LG_KIND_VALUE,
     LATTICE,
     PAIR},
    {{"replicates", LG_OPT_INT, "", "", COUNT,
      "lattices or walkers per fit and gradient; default: si transition 128, prw 1500, others 1"},
     LG_KIND_VALUE,
     ANY,
     ALL},
    {{"fits", LG_OPT_INT, "1", "", COUNT, "independent fits, each with its own noise"}, LG_KIND_VALUE, ANY, ALL},
    {{"first_fit", LG_OPT_INT, "0", "", COUNT0, "number of the first fit in the noise"}, LG_KIND_VALUE, ANY, ALL},
    {{"stop.window", LG_OPT_INT, "0", "iterations", COUNT0,
      "plateau: compare the mean loss of this window with the one before; 0: off"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"stop.tolerance", LG_OPT_REAL, "0.0001", "", "[0, inf)",
      "plateau: stop where the relative improvement is below this"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"stop.time", LG_OPT_REAL, "0", "s", "[0, inf)", "stop after this time; 0: no limit"}, LG_KIND_VALUE, ANY, FIT},

    {{"errors.evaluations", LG_OPT_INT, "8", "", COUNT0,
      "standard errors: evaluations at the end of a fit of statistics (lattices: 2 or more); 0: no standard errors"},
     LG_KIND_VALUE,
     ANY,
     FIT},

    {{"ensemble.starts", LG_OPT_LIST, "fixed", "", "fixed|random|lhs|grid, or start vectors [[a, b], [c, d]]",
      "start values: params.*.start, or drawn within the bounds, or listed (of the fitted parameters)"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.size", LG_OPT_INT, "", "", COUNT, "number of random or lhs starts; grid: points per fitted parameter"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.seeds", LG_OPT_INT, "1", "", COUNT, "repeats of each start, each with its own noise"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.bootstrap", LG_OPT_INT, "0", "", COUNT0,
      "resampled data sets beside the data: of tracks, of runs, or normal within the errors of an MSD table"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.bound", LG_OPT_REAL, "", "", "", "summary: a fit succeeds where its loss is below this"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.distance", LG_OPT_REAL, "0.05", "", "(0, 1)",
      "summary: ends closer than this share of the bounds are one optimum"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.sweep.optimizer.lr", LG_OPT_LIST, "", "", "a list of numbers",
      "learning rates to fit with, each in turn"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.sweep.optimizer.momentum", LG_OPT_LIST, "", "", "a list of numbers", "momenta of sgd to fit with"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.sweep.optimizer.beta1", LG_OPT_LIST, "", "", "a list of numbers",
      "values of optimizer.beta1 to fit with"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.sweep.optimizer.beta2", LG_OPT_LIST, "", "", "a list of numbers",
      "values of optimizer.beta2 to fit with"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.sweep.optimizer.epsilon", LG_OPT_LIST, "", "", "a list of numbers",
      "values of optimizer.epsilon to fit with"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.sweep.optimizer.decay", LG_OPT_LIST, "", "", "a list of numbers",
      "values of optimizer.decay to fit with"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.sweep.optimizer.period", LG_OPT_LIST, "", "iterations", "a list of numbers",
      "periods of the schedules to fit with"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"ensemble.sweep.optimizer.clip", LG_OPT_LIST, "", "", "a list of numbers", "largest gradient norms to fit with"},
     LG_KIND_VALUE,
     ANY,
     FIT},

    {{"checkpoint.file", LG_OPT_STRING, "", "", "", "checkpoint file; default: output.file with .ckpt after it"},
     LG_KIND_PATH,
     ANY,
     FIT},
    {{"checkpoint.every", LG_OPT_INT, "0", "iterations", COUNT0, "iterations between checkpoints; 0: by time"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"checkpoint.seconds", LG_OPT_REAL, "60", "s", "(0, inf)",
      "time between checkpoints; longer where writing one takes over 0.5 % of it"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"checkpoint.keep", LG_OPT_BOOL, "false", "", "", "keep the checkpoint after the result was written"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"cluster.spread", LG_OPT_STRING, "auto", "", "auto|fits|replicates",
      "what several processes share out: whole fits, or the replicates of each; auto: replicates where fits are too "
      "few"},
     LG_KIND_VALUE,
     ANY,
     FIT},
    {{"run.time_limit", LG_OPT_STRING, "0", "s, or [D-]HH:MM:SS", "",
      "stop with a checkpoint before this time is over; 0: no limit"},
     LG_KIND_VALUE,
     ANY,
     FIT},

    {{"seed", LG_OPT_INT, "1", "", SEED, "seed of all noise"}, LG_KIND_VALUE, ANY, ALL},
    {{"device", LG_OPT_STRING, "auto", "", "auto|cpu|cuda|cuda:N", "where to run; auto: a GPU where there is one"},
     LG_KIND_VALUE,
     ANY,
     ALL},
    {{"threads", LG_OPT_INT, "0", "", "[0, 4096]", "CPU threads; 0: all cores"}, LG_KIND_VALUE, ANY, ALL},
    {{"memory_limit", LG_OPT_INT, "0", "MiB", "[0, 1073741824]",
      "memory the batch may take on the device; 0: automatic"},
     LG_KIND_VALUE,
     ANY,
     ALL},
    {{"output.file", LG_OPT_STRING, "", "", "", "result file (HDF5)"}, LG_KIND_PATH, ANY, ALL},
    {{"output.trace", LG_OPT_STRING, "", "", "", "trace file (CSV)"}, LG_KIND_PATH, ANY, FIT},
    {{"output.picture", LG_OPT_STRING, "", "", "", "picture file (PNG)"}, LG_KIND_PATH, ANY, ALL},
    {{"output.every", LG_OPT_INT, "0", "steps", COUNT0,
      "steps between states kept in the result; 0: the last one alone"},
     LG_KIND_VALUE,
     ANY,
     ALL},
};

/* Defaults that depend on model and task ("": any): the first row that fits counts. "=steps": the value of that key. */
static const struct {
    const char *key, *model, *task, *value;
} defaults[] = {
    {"task", "si", "", "transition"},
    {"task", "prw", "", "trajectory"},
    {"task", "mk", "", "stability"},
    {"data.start", "si", "", "centre"},
    {"data.start", "mk", "stability", NULL},
    {"data.start", "mk", "", "uniform"},
    {"data.weights", "mk", "formation", "sem"},
    {"data.record_every", "mk", "formation", "2500"},
    {"data.generate.runs", "mk", "formation", "10"},
    {"data.generate.runs", "si", "", "100"},
    {"data.generate.runs", "prw", "", "15000"},
    {"data.generate.runs", "mk", "", "1"},
    {"data.generate.steps", "si", "", "50"},
    {"data.generate.steps", "prw", "", "=steps"},
    {"data.generate.steps", "mk", "formation", "=steps"},
    {"data.generate.steps", "mk", "", "50000"},
    {"data.generate.start", "si", "", "centre"},
    {"data.generate.start", "mk", "formation", "uniform"},
    {"data.generate.start", "mk", "", "stripe"},
    {"steps", "", "transition", "1"},
    {"steps", "si", "", "50"},
    {"steps", "prw", "", "10"},
    {"steps", "mk", "formation", "10000"},
    {"steps", "mk", "", "500"},
    {"loss", "prw", "", "sse"},
    {"loss", "", "trajectory", "stat"},
    {"loss", "", "formation", "stat"},
    {"loss", "", "simulate", "stat"},
    {"loss", "mk", "stability", "log_sse"},
    {"loss", "si", "", "sse"},
    {"loss", "mk", "", "sse"},
    {"estimator.binary", "prw", "", "gs"},
    {"optimizer.name", "prw", "", "adam"},
    {"optimizer.name", "si", "", "sgd"},
    {"optimizer.name", "mk", "", "sgd"},
    {"optimizer.lr", "si", "", "1e-7"},
    {"optimizer.lr", "prw", "", "0.01"},
    {"optimizer.lr", "mk", "", "0.05"},
    {"iterations", "si", "", "6000"},
    {"iterations", "prw", "", "10000"},
    {"iterations", "mk", "", "4000"},
    {"replicates", "si", "transition", "128"},
    {"replicates", "prw", "", "1500"},
    {"replicates", "mk", "formation", "10"},
    {"replicates", "", "", "1"},
};

enum { ROWS = sizeof rows / sizeof rows[0], DEFAULTS = sizeof defaults / sizeof defaults[0] };

int lg_option_count(void)
{
    return ROWS;
}

const lg_option_row *lg_option_row_at(int index)
{
    return index >= 0 && index < ROWS ? &rows[index] : NULL;
}

const lg_option *lg_option_at(int index)
{
    return index >= 0 && index < ROWS ? &rows[index].option : NULL;
}

bool lg_option_matches(const char *pattern, const char *key, bool prefix)
{
    for (;;) {
        const size_t p = strcspn(pattern, "."), k = strcspn(key, ".");
        const bool name = p == 4 && memcmp(pattern, "NAME", 4) == 0;
        if (name ? k == 0 : (p != k || memcmp(pattern, key, p) != 0)) return false;
        pattern += p;
        key += k;
        if (!*key) return prefix ? *pattern == '.' : !*pattern;
        if (!*pattern) return false;
        pattern++;
        key++;
    }
}

const lg_option_row *lg_option_find(const char *key)
{
    for (int i = 0; i < ROWS; i++) {
        if (lg_option_matches(rows[i].option.key, key, false)) return &rows[i];
    }
    return NULL;
}

bool lg_option_is_section(const char *key)
{
    for (int i = 0; i < ROWS; i++) {
        if (lg_option_matches(rows[i].option.key, key, true)) return true;
    }
    return false;
}

const char *lg_option_default(const lg_option_row *row, const char *model, const char *task)
{
    const char *key = row->option.key;
    for (int i = 0; i < DEFAULTS; i++) {
        if (strcmp(defaults[i].key, key) != 0) continue;
        if (*defaults[i].model && strcmp(defaults[i].model, model) != 0) continue;
        if (*defaults[i].task && strcmp(defaults[i].task, task) != 0) continue;
        return defaults[i].value;
    }
    return *row->option.fallback ? row->option.fallback : NULL;
}

/* Length of the shortest beginning of a key ("optimiser" of "optimiser.lr") that is neither a key nor a section. */
static size_t wrong_prefix(const char *key)
{
    char prefix[LG_KEY_SIZE];
    size_t length = 0;
    for (;;) {
        length += strcspn(key + length, ".");
        snprintf(prefix, sizeof prefix, "%.*s", (int)length, key);
        if (!key[length] || !(lg_option_find(prefix) || lg_option_is_section(prefix))) return length;
        length++;
    }
}

/* Names that may follow "parent." ("": names of the top level). */
static size_t children(const char *parent, char names[ROWS][LG_KEY_SIZE])
{
    size_t count = 0, depth = *parent ? 1 : 0;
    for (const char *p = parent; *p; p++) depth += *p == '.';
    for (int i = 0; i < ROWS; i++) {
        if (*parent && !lg_option_matches(rows[i].option.key, parent, true)) continue;
        const char *segment = rows[i].option.key;
        for (size_t d = 0; d < depth; d++) segment = strchr(segment, '.') + 1;
        const size_t length = strcspn(segment, ".");
        if (length == 4 && memcmp(segment, "NAME", 4) == 0) continue;
        snprintf(names[count++], LG_KEY_SIZE, "%.*s", (int)length, segment);
    }
    return count;
}

lg_status lg_option_unknown(lg_context *ctx, const char *where, const char *key)
{
    if (strncmp(key, "ensemble.sweep.", 15) == 0 && lg_option_find(key + 15))
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "%s: %s cannot be swept: it shapes the batch that all fits of an ensemble share, or is no "
                       "number; run one fit "
                       "for each value (--set %s=...) and compare",
                       where, key + 15, key + 15);
    char names[ROWS][LG_KEY_SIZE], parent[LG_KEY_SIZE] = "", word[LG_KEY_SIZE];
    const char *candidates[ROWS];
    const size_t end = wrong_prefix(key);
    size_t begin = end;
    while (begin > 0 && key[begin - 1] != '.') begin--;
    if (begin) snprintf(parent, sizeof parent, "%.*s", (int)(begin - 1), key);
    snprintf(word, sizeof word, "%.*s", (int)(end - begin), key + begin);

    const size_t count = children(parent, names);
    for (size_t i = 0; i < count; i++) candidates[i] = names[i];
    const char *nearest = lg_nearest(word, candidates, count);
    if (nearest) {
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: unknown key '%s'; did you mean '%.*s%s%s'?", where, key, (int)begin,
                       key, nearest, key + end);
    }
    for (int i = 0; i < ROWS; i++) { /* a known name without its section: "lr" */
        const char *dot = strrchr(rows[i].option.key, '.');
        if (dot && strcmp(dot + 1, key) == 0) {
            return lg_fail(ctx, LG_ERR_CONFIG, "%s: unknown key '%s'; did you mean '%s'?", where, key,
                           rows[i].option.key);
        }
    }
    return lg_fail(ctx, LG_ERR_CONFIG, "%s: unknown key '%s'; `latgrad help config` lists all", where, key);
}
