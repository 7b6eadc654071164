/* The counters of the emulation (tests/simt_count.h), for tests/test_counts.c and tests/test_cost.c.
 *
 * A warp's accesses are put together as a GPU does: the n-th access that each lane makes at one place of the code since
 * the warp last waited is one request. A request to memory costs the sectors of 32 bytes that it touches; one to shared
 * memory costs wavefronts: as many as there are different words of one bank, for 32 lanes at a time, 16 where a lane
 * moves 8 bytes, 8 where it moves 16. Private memory (stacks) costs nothing, as registers do not.
 */
#include "tests/simt.h"

#include <cxxabi.h>
#include <elf.h>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

#include "tests/counts.h"

extern "C" const char __executable_start, _end;

namespace simt
{

namespace
{

struct access {
    const void *place;
    uintptr_t at;
    unsigned bytes;
    bool write;
};

/* The sectors that were touched, 4096 to a page */
struct footprint {
    std::unordered_map<uintptr_t, std::vector<bool>> pages;
    uint64_t sectors = 0;

    void add(uintptr_t sector)
    {
        std::vector<bool> &page = pages[sector >> 12];
        page.resize(4096);
        sectors += !page[sector & 4095];
        page[sector & 4095] = true;
    }
};

struct range {
    uintptr_t from, to;

    bool holds(uintptr_t at) const
    {
        return at >= from && at < to;
    }
};

template <class T> range range_of(const T *p, size_t n)
{
    uintptr_t from = reinterpret_cast<uintptr_t>(p);
    return {from, from + n * sizeof *p};
}

std::vector<access> made[MOST];
std::vector<kernel_counts> log;                                                                      /* of launches */
std::map<std::tuple<std::string, const void *, unsigned, unsigned, unsigned, size_t>, size_t> first; /* in the log */
std::string label;
size_t sampling; /* blocks of a grid that are executed; 0: all */
footprint read_from, written_to, in_block;
range home_of_thread; /* the stack of the thread that emulates */
bool inside;

bool is_private(uintptr_t at)
{
    return range_of(here->stack.get(), STACK).holds(at) || range_of(threads.data(), MOST).holds(at) ||
           home_of_thread.holds(at) ||
           range_of(&__executable_start, static_cast<size_t>(&_end - &__executable_start)).holds(at);
}

void note(const void *place, const void *p, size_t bytes, bool write)
{
    uintptr_t at = reinterpret_cast<uintptr_t>(p);
    if (inside && !is_private(at))
        made[now].push_back({place, at, static_cast<unsigned>(bytes), write});
}

/* ---- requests of a warp */

struct request {
    bool write = false;
    std::vector<std::pair<unsigned, access>> by; /* lane, access */
};

unsigned wavefronts(const request &r, unsigned from, unsigned to)
{
    std::vector<uintptr_t> banks[32];
    unsigned most = 0;
    for (const auto &[lane, a] : r.by)
        if (lane >= from && lane < to)
            for (uintptr_t word = a.at / 4; word <= (a.at + a.bytes - 1) / 4; word++) {
                std::vector<uintptr_t> &bank = banks[word % 32];
                if (std::find(bank.begin(), bank.end(), word) == bank.end())
                    bank.push_back(word);
                most = std::max(most, static_cast<unsigned>(bank.size()));
            }
    return most;
}

void to_shared(const request &r)
{
    unsigned bytes = r.by[0].second.bytes, each = bytes > 8 ? 8 : bytes > 4 ? 16 : 32;
    log.back().shared.requests++;
    for (unsigned from = 0; from < 32; from += each) {
        unsigned n = wavefronts(r, from, from + each);
        log.back().shared.wavefronts += n;
        log.back().shared.least += n > 0;
    }
}

/* Sorts and leaves each once. */
size_t different(std::vector<uintptr_t> &v)
{
    std::sort(v.begin(), v.end());
    v.erase(std::unique(v.begin(), v.end()), v.end());
    return v.size();
}

void to_memory(const request &r)
{
    kernel_counts &c = log.back();
    memory_counts &m = r.write ? c.written : c.read;
    footprint &f = r.write ? written_to : read_from;
    std::vector<uintptr_t> sectors, addresses;
    m.requests++;
    for (const auto &[lane, a] : r.by) {
        addresses.push_back(a.at);
        for (uintptr_t s = a.at / 32; s <= (a.at + a.bytes - 1) / 32; s++)
            sectors.push_back(s);
    }
    m.bytes += different(addresses) * r.by[0].second.bytes;
    m.sectors += different(sectors);
    for (uintptr_t s : sectors) {
        f.add(s);
        in_block.add(s);
    }
}

void execute(const request &r)
{
    if (range_of(shared.data(), shared.size()).holds(r.by[0].second.at))
        to_shared(r);
    else
        to_memory(r);
}

/* True if all lanes went through the same places; then requests are at the same index. */
bool together(unsigned from, unsigned to)
{
    const std::vector<access> &first = made[from];
    for (unsigned i = from + 1; i < to; i++) {
        if (made[i].size() != first.size())
            return false;
        for (size_t k = 0; k < first.size(); k++)
            if (made[i][k].place != first[k].place)
                return false;
    }
    return true;
}

}  // namespace

void settle(unsigned from, unsigned to)
{
    if (together(from, to)) {
        request r;
        for (size_t k = 0; k < made[from].size(); k++) {
            r.write = made[from][k].write;
            r.by.clear();
            for (unsigned i = from; i < to; i++)
                r.by.push_back({i - from, made[i][k]});
            execute(r);
        }
    } else {
        std::map<std::pair<const void *, unsigned>, request> requests;
        for (unsigned i = from; i < to; i++) {
            std::unordered_map<const void *, unsigned> times;
            for (const access &a : made[i]) {
                request &r = requests[{a.place, times[a.place]++}];
                r.write = a.write;
                r.by.push_back({i - from, a});
            }
        }
        for (const auto &[place, r] : requests)
            execute(r);
    }
    for (unsigned i = from; i < to; i++)
        made[i].clear();
}

void counting(bool is)
{
    inside = is;
}

void met(meeting m)
{
    if (m == BARRIER ? now == 0 : now % 32 == 0)
        log.back().met[m]++;
}

void __attribute__((noinline)) load(void *to, const void *from, size_t bytes)
{
    expect_aligned(from, bytes);
    memcpy(to, from, bytes);
    note(__builtin_return_address(0), from, bytes, false);
}

void __attribute__((noinline)) store(void *to, const void *from, size_t bytes)
{
    expect_aligned(to, bytes);
    memcpy(to, from, bytes);
    note(__builtin_return_address(0), to, bytes, true);
}

void __attribute__((noinline)) touched(const void *p, size_t bytes, bool write)
{
    note(__builtin_return_address(0), p, bytes, write);
}

bool launched(const void *which, unsigned x, unsigned yz, unsigned of, size_t shared_bytes)
{
    uintptr_t sp = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    home_of_thread = {sp - (64 << 10), sp + (8 << 20)};
    kernel_counts c = {};
    c.address = which;
    c.launches = 1;
    c.blocks = static_cast<uint64_t>(x) * yz;
    c.executed = std::min<uint64_t>(c.blocks, most_blocks());
    c.threads = of;
    c.shared_bytes = shared_bytes;
    snprintf(c.label, sizeof c.label, "%s", label.c_str());
    auto [known, fresh] = first.insert({{label, which, x, yz, of, shared_bytes}, log.size()});
    bool again = sampling && !fresh;
    log.push_back(again ? log[known->second] : c);
    return !again;
}

void block_over()
{
    log.back().cached += in_block.sectors * 32;
    in_block = {};
}

void ended()
{
    log.back().read.footprint = read_from.sectors * 32;
    log.back().written.footprint = written_to.sectors * 32;
    read_from = {};
    written_to = {};
}

size_t most_blocks()
{
    return sampling ? sampling : SIZE_MAX;
}

bool samples()
{
    return sampling;
}

void multiplied(const char *what, size_t rows, int n, int k, size_t bytes)
{
    kernel_counts c = {};
    c.launches = 1;
    c.rows = rows;
    c.n = n;
    c.k = k;
    c.read.footprint = bytes;
    snprintf(c.label, sizeof c.label, "%s", label.c_str());
    snprintf(c.name, sizeof c.name, "%s", what);
    log.push_back(c);
}

/* ---- names of kernels, which are local: from the symbols of the program */

namespace
{

std::string file_of_program()
{
    std::string text;
    char part[1 << 16];
    FILE *f = fopen("/proc/self/exe", "rb");
    for (size_t n; f && (n = fread(part, 1, sizeof part, f)) > 0;)
        text.append(part, n);
    if (f)
        fclose(f);
    return text;
}

std::map<uintptr_t, const char *> symbols_in(const std::string &file)
{
    std::map<uintptr_t, const char *> out;
    Elf64_Ehdr head;
    if (file.size() < sizeof head)
        return out;
    memcpy(&head, file.data(), sizeof head);
    uintptr_t base = head.e_type == ET_DYN ? reinterpret_cast<uintptr_t>(&__executable_start) : 0;
    const Elf64_Shdr *sections = reinterpret_cast<const Elf64_Shdr *>(file.data() + head.e_shoff);
    for (unsigned i = 0; i < head.e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB) {
            const char *names = file.data() + sections[sections[i].sh_link].sh_offset;
            const Elf64_Sym *s = reinterpret_cast<const Elf64_Sym *>(file.data() + sections[i].sh_offset);
            for (size_t k = 0; k < sections[i].sh_size / sizeof *s; k++)
                if (ELF64_ST_TYPE(s[k].st_info) == STT_FUNC)
                    out[base + s[k].st_value] = names + s[k].st_name;
        }
    return out;
}

void replace(std::string &in, const char *what, const char *by)
{
    for (size_t at; (at = in.find(what)) != std::string::npos;)
        in.replace(at, strlen(what), by);
}

/* scan_kernel<half>, of void mv::(anonymous namespace)::scan_kernel<__half>(mv::scan_job) */
std::string short_name(const char *symbol)
{
    int status;
    char *text = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
    std::string name = text ? text : symbol;
    free(text);
    for (const char *noise : {"(anonymous namespace)::", "mv::", "void ", " "})
        replace(name, noise, "");
    replace(name, "__nv_bfloat16", "bf16");
    replace(name, "__half", "half");
    int depth = 0;
    for (size_t i = 0; i < name.size(); i++) {
        depth += name[i] == '<' ? 1 : name[i] == '>' ? -1 : 0;
        if (name[i] == '(' && depth == 0)
            name.resize(i);
    }
    return name;
}

}  // namespace

}  // namespace simt

extern "C" void counts_label(const char *text)
{
    simt::label = text;
}

extern "C" void counts_sample(size_t blocks)
{
    simt::sampling = blocks;
}

extern "C" size_t counts_launches(void)
{
    return simt::log.size();
}

extern "C" const kernel_counts *counts_at(size_t i)
{
    static const std::string file = simt::file_of_program();
    static const std::map<uintptr_t, const char *> symbols = simt::symbols_in(file);
    kernel_counts &c = simt::log[i];
    if (!*c.name) {
        auto s = symbols.find(reinterpret_cast<uintptr_t>(c.address));
        snprintf(c.name, sizeof c.name, "%s", s == symbols.end() ? "?" : simt::short_name(s->second).c_str());
    }
    return &c;
}

/* ---- the compiler's hooks */

#define HOOKS(BYTES)                                                                                                   \
    extern "C" void __tsan_read##BYTES(const void *p)                                                                  \
    {                                                                                                                  \
        simt::note(__builtin_return_address(0), p, BYTES, false);                                                      \
    }                                                                                                                  \
    extern "C" void __tsan_write##BYTES(void *p)                                                                       \
    {                                                                                                                  \
        simt::note(__builtin_return_address(0), p, BYTES, true);                                                       \
    }                                                                                                                  \
    extern "C" void __tsan_unaligned_read##BYTES(const void *p)                                                        \
    {                                                                                                                  \
        simt::note(__builtin_return_address(0), p, BYTES, false);                                                      \
    }                                                                                                                  \
    extern "C" void __tsan_unaligned_write##BYTES(void *p)                                                             \
    {                                                                                                                  \
        simt::note(__builtin_return_address(0), p, BYTES, true);                                                       \
    }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

extern "C" void __tsan_read_range(const void *p, size_t bytes)
{
    simt::note(__builtin_return_address(0), p, bytes, false);
}
extern "C" void __tsan_write_range(void *p, size_t bytes)
{
    simt::note(__builtin_return_address(0), p, bytes, true);
}
extern "C" void __tsan_vptr_update(void *, void *)
{
}
extern "C" void __tsan_func_entry(void *)
{
}
extern "C" void __tsan_func_exit()
{
}
extern "C" void __tsan_init()
{
}
