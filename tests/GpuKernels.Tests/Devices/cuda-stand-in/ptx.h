// PTX as it is run: a kernel is an array of instructions whose operands are places in a warp's registers.
// "PTX ISA" in these files' comments is NVIDIA's document of that name (Parallel Thread Execution ISA, version 8.x).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ptx {

constexpr int LANES = 32;
constexpr uint32_t NONE = ~0u;

struct Warp;
struct Op;
using Run = void (*)(Warp &, const Op &);

/// What decides how an instruction is counted; atomics are stores.
enum class Class : uint8_t { Integer, Float, Special, Convert, Move, SharedLoad, SharedStore, GlobalLoad, GlobalStore, Matrix, Product, Shuffle, Branch, Barrier, Count };

/// What decides how an instruction is scheduled. Together: by all living lanes of the warp at once. Wait: one that may ask to be tried again.
enum class Kind : uint8_t { Plain, Branch, Return, Together, Barrier, Wait };

/// The width of a register: a predicate is one bit a lane, in one word.
enum class Width : uint8_t { Predicate, Half, Word, Double };

/// One instruction. Operands (`o`, the destination first) are byte offsets into a warp's registers, where constants lie too; those in braces are
/// in Kernel::lists from `list` on. An address is o[address] + imm.
struct Op
{
    Run run = nullptr;
    uint32_t o[6] = { 0, 0, 0, 0, 0, 0 };
    uint32_t guard = NONE, list = 0;
    int32_t target = 0;
    int64_t imm = 0;
    uint32_t line = 0;
    /// Lanes that are at what has the least order are run first.
    uint32_t order = 0;
    Kind kind = Kind::Plain;
    Class counted = Class::Integer;
    bool negated = false, wide = false, wide2 = false;
    /// Whether it brings the warp's lanes together (.sync).
    bool joins = false;
    uint16_t form = 0;
};

/// How one instruction is written and done. `operands`: p, h, w, d are registers or constants of the widths above; x: a word and perhaps |predicate;
/// {4w} a list; a: an address; i: a number; l: a label; m: a parameter; _: nothing (what the instruction gives is not kept). What stands before ':' is
/// written, after it read; '+' before a list: both.
struct Form
{
    std::string name, operands;
    Run run;
    Class counted;
    Kind kind = Kind::Plain;
};

const std::vector<Form> &forms();
/// By the instruction's name: its forms, which differ in the widths of their registers.
const std::unordered_map<std::string_view, std::vector<uint16_t>> &forms_by_name();
void add_lane_forms(std::vector<Form> &);
void add_memory_forms(std::vector<Form> &);
void add_collective_forms(std::vector<Form> &);
void add_asynchronous_forms(std::vector<Form> &);

enum class Special : uint8_t { TidX, TidY, TidZ, NtidX, NtidY, NtidZ, CtaidX, CtaidY, CtaidZ, NctaidX, NctaidY, NctaidZ, Lane, Warp, ClusterRank };

struct Parameter { std::string name; uint32_t offset, bytes; };
struct Constant { Width width; uint64_t bits; uint32_t at; };
struct SpecialPlace { Special what; uint32_t at; };

/// What an operation reads and writes, by the numbers of its registers as the PTX has them; of what it reads, what stands in braces.
struct Uses { std::vector<uint32_t> reads, writes, listed; };

struct Kernel
{
    std::string name;
    std::vector<Op> ops;
    std::vector<Uses> uses;
    uint32_t registers = 0;
    std::vector<uint32_t> lists;
    std::vector<Parameter> parameters;
    std::vector<Constant> constants;
    std::vector<SpecialPlace> specials;
    uint32_t parameterBytes = 0;
    /// Bytes of a warp's registers and constants.
    uint32_t registerBytes = 0;
    uint32_t staticShared = 0, dynamicShared = 0;
    /// Groups of a cluster, along x.
    uint32_t cluster = 1;
    /// Whether it reads or writes shared memory by units of less than 4 bytes, and global memory.
    bool narrowShared = false, narrowGlobal = false;
};

struct Module
{
    int version = 0, target = 0;
    std::vector<Kernel> kernels;
};

/// What a module is refused for; the text names the line.
struct Refused : std::runtime_error { using runtime_error::runtime_error; };

Module parse(std::string_view text);

// Between parser and decoder.
struct Operand
{
    enum { Register, Number, Symbol, Address, List, Pair, Nothing } kind = Nothing;
    uint32_t reg = NONE;
    uint64_t bits = 0;
    std::string name;
    std::vector<Operand> parts;
};

struct Statement
{
    std::string name;
    std::vector<Operand> operands;
    uint32_t guard = NONE, line = 0;
    bool negated = false;
};

struct Symbol { std::string name; uint32_t align, bytes; bool dynamic; uint32_t at; };

struct Body
{
    std::string name;
    std::vector<Width> registers;
    std::vector<Special> specialOf;
    std::vector<uint32_t> specialRegister;
    std::vector<Statement> statements;
    std::unordered_map<std::string, uint32_t> labels;
    std::vector<Parameter> parameters;
    std::vector<Symbol> symbols;
    uint32_t cluster = 1;
};

Kernel decode(Body &body);
void order(std::vector<Op> &ops);
[[noreturn]] void refuse(uint32_t line, const std::string &what);

} // namespace ptx
