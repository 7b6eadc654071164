/* The names of what mixer.h shows. */
#include "src/explain/mixer.h"

static const struct {
    const char *key, *title, *summary;
} words[MV_MIXER_KINDS] = {
    [MV_MIXER_DT] = {"dt", "step size", "how far a token moves the state: the step size dt, mean over channels"},
    [MV_MIXER_B] = {"B", "|B|", "how a token enters the state: the norm of B over the 8 states"},
    [MV_MIXER_C] = {"C", "|C|", "how a token reads the state: the norm of C over the 8 states"},
    [MV_MIXER_WRITE] = {"write", "write", "what a token writes to the state: |dt x| |B|"},
    [MV_MIXER_H] = {"h", "state norm", "what the scan holds after a token: the norm of all states h"},
    [MV_MIXER_RATIO] = {"ratio", "|y| / |z|", "the scan against the local branch at a token: |y| / |z|"},
    [MV_MIXER_HALF_LIFE] = {"half_life", "half-life",
                            "tokens until half of a state is forgotten: ln 2 / (dt |A|), median over channels and "
                            "states"},
    [MV_MIXER_HIDDEN] = {"hidden", "hidden attention",
                         "what the scan takes from each token for the query: the mean over channels of |M|"},
    [MV_MIXER_CONTRIBUTIONS] = {"contributions", "contributions",
                                "what each token contributes to the output of the mixer for the query, as a share"},
};

const char *mv_mixer_key(mv_mixer_kind kind)
{
    return kind < MV_MIXER_KINDS ? words[kind].key : 0;
}

const char *mv_mixer_title(mv_mixer_kind kind)
{
    return kind < MV_MIXER_KINDS ? words[kind].title : 0;
}

const char *mv_mixer_summary(mv_mixer_kind kind)
{
    return kind < MV_MIXER_KINDS ? words[kind].summary : 0;
}
