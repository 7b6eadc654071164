/* completion: prints the completion script of a shell. The scripts know no option: they ask `mvscope completion next`,
 * which answers from the tables of the commands, so an installed script fits every version of the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/hub.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/run/sites.h"

/* ---- what may come next */

typedef struct {
    const char *word;
    size_t length; /* of the long name, when letter is 0 */
    char letter;
    const mv_param *found;
} option_search;

static void match_option(void *context, const char *group, const mv_param *p)
{
    (void)group;
    option_search *s = context;
    if (s->letter ? p->letter == s->letter
                  : (strlen(p->name) == s->length && strncmp(p->name, s->word + 2, s->length) == 0) ||
                        (p->also && strlen(p->also) == s->length && strncmp(p->also, s->word + 2, s->length) == 0))
        s->found = p;
}

/* The option that `word` begins with, and the value in the same word ("--theme=dark", "-mT", "-qmT"), NULL if it has
 * none. */
static const mv_param *option_of(const command *c, const char *word, const char **value)
{
    option_search s = {.word = word};
    if (word[1] == '-') {
        s.length = strcspn(word + 2, "=");
        options_visit(c, match_option, &s);
        *value = word[2 + s.length] ? word + 2 + s.length + 1 : NULL;
        return s.found;
    }
    for (const char *at = word + 1; *at; at++) { /* letters of flags may stand together */
        s.letter = *at, s.found = NULL;
        options_visit(c, match_option, &s);
        *value = at[1] ? at + 1 : NULL;
        if (!s.found || s.found->kind != MV_PARAM_FLAG)
            break;
        *value = NULL;
    }
    return s.found;
}

/* The first line of the answer: whether files may come besides the words below, and the part of the word that stays as
 * it is, such as "--theme=". */
static void begin(bool files, const char *word, size_t prefix)
{
    printf("%s\t%.*s\n", files ? "files" : "words", (int)prefix, word);
}

static void offer_option(void *context, const char *group, const mv_param *p)
{
    (void)context, (void)group;
    char text[400];
    mv_param_help(p, text, sizeof text);
    printf("--%s\t%s\n", p->name, text);
    if (p->letter)
        printf("-%c\t%s\n", p->letter, text);
}

static void offer_options(const command *c)
{
    begin(false, "", 0);
    options_visit(c, offer_option, NULL);
}

static void offer_commands(void)
{
    for (int i = 0; commands[i]; i++)
        printf("%s\t%s\n", commands[i]->name, commands[i]->summary);
}

/* For a command that runs the network, only variants whose weights the hub's cache has. */
static void offer_variants(const command *c)
{
    const mv_config *v;
    char lacks[512];
    for (int i = 0; (v = mv_config_at(i)); i++) {
        char *folder = c->takes & TAKES_WEIGHTS ? hub_find(v->name, lacks) : NULL;
        if (folder || !(c->takes & TAKES_WEIGHTS))
            printf("%s\n", v->name);
        free(folder);
    }
}

static void offer_sites(call *c)
{
    mv_error e = {0};
    mv_sites sites;
    session_open(&c->session, &c->o);
    const mv_config *config = &c->session.config;
    if (mv_sites_list(&sites, config, 1, config->preprocess.h, config->preprocess.w, &e))
        die_of(&e, false);
    for (int i = 0; i < sites.n; i++)
        printf("%s\n", sites.name[i]);
    mv_sites_free(&sites);
    session_close(&c->session);
}

static void offer_classes(call *c)
{
    session_open(&c->session, &c->o);
    for (int i = 0; i < c->session.config.classes; i++) {
        char number[24];
        const char *name = session_class(&c->session, i, number);
        if (name != number && mv_text_is_clean(name))
            printf("%s\n", name);
    }
    session_close(&c->session);
}

/* Offers values of p for the part of `word` from `prefix` on. c->o.model is the model that the line names. */
static void offer_values(call *c, const command *of, const mv_param *p, const char *word, size_t prefix)
{
    const char *comma = p->kind == MV_PARAM_LIST ? strrchr(word + prefix, ',') : NULL, *one;
    if (comma)
        prefix = (size_t)(comma - word) + 1;
    begin(p->completes == MV_COMPLETE_FILE || p->completes == MV_COMPLETE_MODEL, word, prefix);
    if (p->kind == MV_PARAM_LIST && p->most - p->least < 10) /* few enough to be worth a choice */
        for (int i = (int)p->least; i <= (int)p->most; i++)
            printf("%d\n", i);
    for (int i = 0; (one = mv_param_word(p, i)); i++)
        printf("%s\n", one);
    switch (p->completes) {
    case MV_COMPLETE_MODEL: offer_variants(of); break;
    case MV_COMPLETE_SITE: offer_sites(c); break;
    case MV_COMPLETE_CLASS: offer_classes(c); break;
    case MV_COMPLETE_FILE:
    case MV_COMPLETE_NOTHING: break;
    }
}

/* What comes as an operand after `before` others; NULL: nothing. */
static const mv_param *operand_of(const command *c, int before)
{
    static const mv_param picture = {.completes = MV_COMPLETE_FILE};
    const mv_param *p = c->takes & TAKES_PICTURES ? &picture : c->completes;
    size_t n = strlen(c->operands);
    bool several = n > 3 && strcmp(c->operands + n - 3, "...") == 0;
    return several || before == 0 ? p : NULL;
}

/* `words` are a command's, the last of them incomplete. */
static void next_of(call *c, const command *of, int n, const char *const *words)
{
    const mv_param *p = NULL; /* an option whose value is the next word */
    const char *value = NULL, *word = words[n - 1];
    bool ended = false; /* by "--" */
    int operands = 0;
    c->o.model = options_default_model();
    for (int i = 0; i < n - 1; i++) {
        const char *w = words[i];
        if (p)
            value = w;
        else if (ended || w[0] != '-' || !w[1])
            operands++;
        else if (strcmp(w, "--") == 0)
            ended = true;
        else
            p = option_of(of, w, &value);
        if (p && p->completes == MV_COMPLETE_MODEL && value)
            c->o.model = value;
        if (p && (p->kind == MV_PARAM_FLAG || value))
            p = NULL;
        value = NULL;
    }
    if (p) {
        offer_values(c, of, p, word, 0);
        return;
    }
    if (word[0] == '-' && !ended) {
        p = option_of(of, word, &value);
        if (!value)
            offer_options(of);
        else if (p && p->kind != MV_PARAM_FLAG)
            offer_values(c, of, p, word, (size_t)(value - word));
        return;
    }
    p = operand_of(of, operands);
    if (p)
        offer_values(c, of, p, word, 0);
    else if (!ended && !*word)
        offer_options(of);
}

/* `words` are the command line after the program's name, the last of them incomplete. */
static void next(call *c, int n, const char *const *words)
{
    if (n < 2 || (n == 2 && strcmp(words[0], "help") == 0)) {
        begin(false, "", 0);
        offer_commands();
        if (n < 2)
            printf("help\tShows the help of a command\n--help\tthis text\n--version\tthe version\n");
        return;
    }
    for (int i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, words[0]) == 0)
            next_of(c, commands[i], n - 1, words + 1);
}

/* ---- the scripts */

/* Bash splits words at =, : and @. It passes the part after the last of them as $2 (an @ belongs to that part), and
 * replaces only that part, so the script joins the pieces and removes `before` from its answers. */
static const char bash[] =
    "_mvscope() {\n"
    "    local piece word before='' glued='' lines kind prefix rest words=()\n"
    "    local -i i\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        piece=${COMP_WORDS[i]//[\\\\\\'\\\"]/}\n"
    "        piece=${piece/#\\~\\//$HOME/}\n"
    "        if ((${#words[@]})) && [[ -n $glued || $piece =~ ^[=:@]+$ ]]; then\n"
    "            words[-1]+=$piece\n"
    "        else\n"
    "            words+=(\"$piece\")\n"
    "        fi\n"
    "        glued=''\n"
    "        [[ $piece =~ ^[=:@]+$ ]] && glued=1\n"
    "    done\n"
    "    if ((${#words[@]})) && [[ -n $glued || ${COMP_WORDS[COMP_CWORD]} =~ ^[=:@]+$ ]]; then\n"
    "        before=${words[-1]}\n"
    "        unset 'words[-1]'\n"
    "        if [[ -z $2 ]]; then before+=${COMP_WORDS[COMP_CWORD]}; fi\n"
    "        if [[ -n $glued && $2 == @* ]]; then before=${before%@}; fi\n"
    "    fi\n"
    "    word=$before${2//\\\\/}\n"
    "    COMPREPLY=()\n"
    "    mapfile -t lines < <(\"${1/#\\~\\//$HOME/}\" completion next -- \"${words[@]}\" \"$word\" 2>/dev/null)\n"
    "    ((${#lines[@]})) || return 0\n"
    "    kind=${lines[0]%%$'\\t'*} prefix=${lines[0]#*$'\\t'}\n"
    "    if [[ $kind == files ]]; then\n"
    "        rest=$before$2\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"${rest#\"$prefix\"}\")\n"
    "    fi\n"
    "    compopt -o filenames 2>/dev/null # readline quotes what a shell would read otherwise\n"
    "    for piece in \"${lines[@]:1}\"; do\n"
    "        piece=$prefix${piece%%$'\\t'*}\n"
    "        [[ $piece == \"$word\"* ]] && COMPREPLY+=(\"${piece#\"$prefix\"}\")\n"
    "    done\n"
    "    for i in \"${!COMPREPLY[@]}\"; do\n"
    "        piece=$prefix${COMPREPLY[i]}\n"
    "        COMPREPLY[i]=${piece#\"$before\"}\n"
    "    done\n"
    "}\n"
    "complete -F _mvscope mvscope\n";

static const char zsh[] =
    "_mvscope() {\n"
    "    local -a answer offered\n"
    "    local line prefix program=${(Q)words[1]}\n"
    "    answer=(${(f)\"$(${program/#\\~\\//$HOME/} completion next -- "
    "\"${(@)${(@Q)words[2,CURRENT-1]}/#\\~\\//$HOME/}\" "
    "\"${(Q)PREFIX}\" 2>/dev/null)\"})\n"
    "    (( $#answer )) || return 1\n"
    "    prefix=${answer[1]#*$'\\t'}\n"
    "    compset -p $#prefix\n"
    "    for line in \"${(@)answer[2,-1]}\"; do\n"
    "        offered+=(\"${${line%%$'\\t'*}//:/\\\\:}${${(M)line%$'\\t'*}/$'\\t'/:}\")\n"
    "    done\n"
    "    local -i found=1\n"
    "    (( $#offered )) && _describe -V word offered && found=0\n"
    "    [[ $answer[1] == files* ]] && _files && found=0\n"
    "    return found\n"
    "}\n"
    "if [[ $funcstack[1] == _mvscope ]]; then _mvscope \"$@\"; else compdef _mvscope mvscope; fi\n";

static const char fish[] = "function __mvscope_next\n"
                           "    set -l words (commandline -opc | string replace -r '^~/' \"$HOME/\")\n"
                           "    set -l program $words[1]\n"
                           "    set -e words[1]\n"
                           "    set -l word (commandline -ct | string unescape)\n"
                           "    command $program completion next -- $words \"$word\" 2>/dev/null\n"
                           "end\n"
                           "function __mvscope_words\n"
                           "    set -l answer (__mvscope_next)\n"
                           "    set -l prefix (string split \\t -- $answer[1])[2]\n"
                           "    set -e answer[1]\n"
                           "    set -q answer[1]; and printf '%s\\n' \"$prefix\"$answer\n"
                           "end\n"
                           "complete -c mvscope -f -a '(__mvscope_words)'\n"
                           "complete -c mvscope -n '__mvscope_next | string match -q \"files*\"' -F\n";

static const char *const shells[] = {"bash", "zsh", "fish", NULL};
static const char *const scripts[] = {bash, zsh, fish};

static int run(call *c)
{
    if (c->operands && strcmp(c->operand[0], "next") == 0) {
        next(c, c->operands - 1, c->operand + 1);
        return EXIT_DONE;
    }
    if (c->operands != 1)
        die(EXIT_MISUSE, "completion: found %d operands, expected one: bash, zsh or fish (mvscope completion --help)",
            c->operands);
    for (int i = 0; shells[i]; i++)
        if (strcmp(c->operand[0], shells[i]) == 0) {
            printf("%s# %s completion of mvscope %s, made by: mvscope completion %s\n%s",
                   scripts[i] == zsh ? "#compdef mvscope\n" : "", shells[i], MV_VERSION, shells[i], scripts[i]);
            return EXIT_DONE;
        }
    die(EXIT_MISUSE, "completion: found '%s', expected bash, zsh or fish (mvscope completion --help)", c->operand[0]);
}

static const char *const examples[] = {"completion bash > ~/.local/share/bash-completion/completions/mvscope",
                                       "completion zsh > ~/.zfunc/_mvscope",
                                       "completion fish > ~/.config/fish/completions/mvscope.fish", NULL};

static const mv_param shell_operand = {.words = shells};

const command command_completion = {.name = "completion",
                                    .operands = "bash|zsh|fish",
                                    .completes = &shell_operand,
                                    .summary = "Prints the completion script of a shell",
                                    .examples = examples,
                                    .run = run};
