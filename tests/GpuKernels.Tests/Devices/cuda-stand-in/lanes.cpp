// Instructions that each lane does by itself: arithmetic, comparisons, conversions, moves.
// PTX ISA, "Integer Arithmetic Instructions", "Floating-Point Instructions", "Comparison and Selection Instructions", "Logic and Shift Instructions",
// "Data Movement and Conversion Instructions". Floats are IEEE's, each operation rounded by itself; this is built without contraction.
#include "machine.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ptx {

namespace {

template <class D, class A, auto F> void unary(Warp &w, const Op &op)
{
    const A *a = w.at<A>(op.o[1]);
    put<D>(w, op.o[0], [=](int i) { return (D)F(a[i]); });
}

template <class D, class A, class B, auto F> void binary(Warp &w, const Op &op)
{
    const A *a = w.at<A>(op.o[1]);
    const B *b = w.at<B>(op.o[2]);
    put<D>(w, op.o[0], [=](int i) { return (D)F(a[i], b[i]); });
}

template <class D, class A, class B, class C, auto F> void ternary(Warp &w, const Op &op)
{
    const A *a = w.at<A>(op.o[1]);
    const B *b = w.at<B>(op.o[2]);
    const C *c = w.at<C>(op.o[3]);
    put<D>(w, op.o[0], [=](int i) { return (D)F(a[i], b[i], c[i]); });
}

template <class T, auto F> void compare(Warp &w, const Op &op)
{
    const T *a = w.at<T>(op.o[1]), *b = w.at<T>(op.o[2]);
    put_predicate(w, op.o[0], [=](int i) { return (uint8_t)F(a[i], b[i]); });
}

template <auto F> void predicates(Warp &w, const Op &op) { put_bits(w, op.o[0], F(*w.at<uint32_t>(op.o[1]), *w.at<uint32_t>(op.o[2]))); }
void not_predicate(Warp &w, const Op &op) { put_bits(w, op.o[0], ~*w.at<uint32_t>(op.o[1])); }
void move_predicate(Warp &w, const Op &op) { put_bits(w, op.o[0], *w.at<uint32_t>(op.o[1])); }

template <class T> void select(Warp &w, const Op &op)
{
    const T *a = w.at<T>(op.o[1]), *b = w.at<T>(op.o[2]);
    uint32_t p = *w.at<uint32_t>(op.o[3]);
    put<T>(w, op.o[0], [=](int i) { return p >> i & 1 ? a[i] : b[i]; });
}

template <class D, class A> void convert(Warp &w, const Op &op)
{
    const A *a = w.at<A>(op.o[1]);
    put<D>(w, op.o[0], [=](int i) { return (D)a[i]; });
}

// A source register may be wider than the type: its low bits are taken ("Operand Size Exceeding Instruction-Type Size").
template <class D, class A, class Register> void convert_low(Warp &w, const Op &op)
{
    const Register *a = w.at<Register>(op.o[1]);
    put<D>(w, op.o[0], [=](int i) { return (D)(A)a[i]; });
}

template <class Whole, class Part> void join(Warp &w, const Op &op)
{
    const uint32_t *list = w.group->kernel->lists.data() + op.list;
    const Part *low = w.at<Part>(list[0]), *high = w.at<Part>(list[1]);
    put<Whole>(w, op.o[0], [=](int i) { return (Whole)low[i] | (Whole)high[i] << (8 * sizeof(Part)); });
}

template <class Whole, class Part> void divide_in_two(Warp &w, const Op &op)
{
    const uint32_t *list = w.group->kernel->lists.data() + op.list;
    Whole whole[LANES];
    std::memcpy(whole, w.at<Whole>(op.o[0]), sizeof whole);
    const Whole *a = whole;
    put<Part>(w, list[0], [=](int i) { return (Part)a[i]; });
    put<Part>(w, list[1], [=](int i) { return (Part)(a[i] >> (8 * sizeof(Part))); });
}

template <class T> void load_parameter(Warp &w, const Op &op)
{
    T value;
    std::memcpy(&value, w.group->launch->parameters.data() + op.imm, sizeof value);
    put<T>(w, op.o[0], [=](int) { return value; });
}

uint32_t bits_of(float x) { uint32_t b; std::memcpy(&b, &x, 4); return b; }
float float_of(uint32_t b) { float x; std::memcpy(&x, &b, 4); return x; }
// .ftz: subnormal inputs and results are zeros of their sign.
float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

// "max": of a NaN and a number the number; +0 is greater than -0.
float greater(float a, float b) { return a != a ? (b != b ? float_of(0x7FFFFFFF) : b) : b != b ? a : a == b ? float_of(bits_of(a) & bits_of(b)) : a > b ? a : b; }
float smaller(float a, float b) { return a != a ? (b != b ? float_of(0x7FFFFFFF) : b) : b != b ? a : a == b ? float_of(bits_of(a) | bits_of(b)) : a < b ? a : b; }

// "cvt": to bf16 by nearest even; every NaN becomes 0x7FFF.
uint32_t bf16(float x)
{
    uint32_t b = bits_of(x);
    if (x != x) return 0x7FFF;
    return (b + 0x7FFF + (b >> 16 & 1)) >> 16;
}

// "shl", "shr": amounts above the width are the width.
template <class T> T left(T a, uint32_t n) { return n >= 8 * sizeof(T) ? (T)0 : (T)(a << n); }
template <class T> T right(T a, uint32_t n)
{
    uint32_t most = 8 * sizeof(T) - 1;
    if constexpr (std::is_signed_v<T>) return (T)(a >> std::min(n, most));
    else return n > most ? (T)0 : (T)(a >> n);
}

// "bfe": `length` bits from `from` on, both of 8 bits; of signed types the field's sign is continued.
uint32_t field(uint32_t a, uint32_t from, uint32_t length)
{
    from &= 255, length &= 255;
    uint64_t bits = from > 31 ? 0 : a >> from;
    return length >= 32 ? (uint32_t)bits : (uint32_t)(bits & ((1ull << length) - 1));
}

int32_t signed_field(int32_t a, uint32_t from, uint32_t length)
{
    from &= 255, length &= 255;
    if (length == 0) return 0;
    uint32_t sign = std::min(from + length - 1, 31u);
    uint32_t bits = field((uint32_t)a, from, length), have = from > 31 ? 0 : std::min(length, 32 - from);
    bool negative = a >> sign & 1;
    return (int32_t)(have >= 32 ? bits : negative ? bits | ~0u << have : bits);
}

// "bfi": the field goes into b.
uint32_t insert(uint32_t a, uint32_t b, uint32_t from, uint32_t length)
{
    from &= 255, length &= 255;
    uint32_t mask = from > 31 || length == 0 ? 0 : (length >= 32 ? ~0u : (1u << length) - 1) << from;
    return (b & ~mask) | (from > 31 ? 0 : a << from & mask);
}
void insert_bits(Warp &w, const Op &op)
{
    const uint32_t *a = w.at<uint32_t>(op.o[1]), *b = w.at<uint32_t>(op.o[2]), *c = w.at<uint32_t>(op.o[3]), *d = w.at<uint32_t>(op.o[4]);
    put<uint32_t>(w, op.o[0], [=](int i) { return insert(a[i], b[i], c[i], d[i]); });
}

// "lop3": the bits of the table that the three operands' bits name.
uint32_t table_of_three(uint32_t a, uint32_t b, uint32_t c, uint32_t table)
{
    uint32_t result = 0;
    for (uint32_t i = 0; i < 8; i++) if (table >> i & 1) result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return result;
}
void logic_of_three(Warp &w, const Op &op)
{
    const uint32_t *a = w.at<uint32_t>(op.o[1]), *b = w.at<uint32_t>(op.o[2]), *c = w.at<uint32_t>(op.o[3]);
    uint32_t table = w.group->kernel->lists[op.list];
    put<uint32_t>(w, op.o[0], [=](int i) { return table_of_three(a[i], b[i], c[i], table); });
}

// "prmt": of eight bytes, b's above a's, four are chosen by a digit each; its bit 3 takes the byte's sign only.
uint32_t permute(uint32_t a, uint32_t b, uint32_t chosen)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++)
    {
        uint32_t digit = chosen >> (4 * i) & 15, byte = (uint32_t)(bytes >> (8 * (digit & 7))) & 255;
        if (digit & 8) byte = byte & 128 ? 255 : 0;
        result |= byte << (8 * i);
    }
    return result;
}

// "shf": .wrap takes the low five bits of the amount, .clamp at most 32.
uint32_t funnel_right(uint32_t low, uint32_t high, uint32_t n) { return (uint32_t)(((uint64_t)high << 32 | low) >> n); }
uint32_t funnel_left(uint32_t low, uint32_t high, uint32_t n) { return (uint32_t)(((uint64_t)high << 32 | low) << n >> 32); }

// "dp4a": four products of bytes and a sum.
template <class A, class B, class D> D products(uint32_t a, uint32_t b, D c)
{
    for (int i = 0; i < 4; i++) c = (D)(c + (D)(A)(a >> (8 * i)) * (D)(B)(b >> (8 * i)));
    return c;
}

uint32_t reversed(uint32_t a)
{
    uint32_t r = 0;
    for (int i = 0; i < 32; i++) r |= (a >> i & 1) << (31 - i);
    return r;
}

template <class T, class W> void integers(std::vector<Form> &to, const std::string &type)
{
    using U = std::make_unsigned_t<T>;
    std::string r(1, sizeof(T) == 2 ? 'h' : sizeof(T) == 4 ? 'w' : 'd'), ww = sizeof(T) == 2 ? "w" : "d";
    auto two = r + ":" + r + r;
    Class c = Class::Integer;
    to.push_back({ "add." + type, two, binary<U, U, U, [](U a, U b) { return (U)(a + b); }>, c });
    to.push_back({ "sub." + type, two, binary<U, U, U, [](U a, U b) { return (U)(a - b); }>, c });
    to.push_back({ "mul.lo." + type, two, binary<U, U, U, [](U a, U b) { return (U)((uint64_t)a * b); }>, c });
    to.push_back({ "mad.lo." + type, two + r, ternary<U, U, U, U, [](U a, U b, U x) { return (U)((uint64_t)a * b + x); }>, c });
    to.push_back({ "min." + type, two, binary<T, T, T, [](T a, T b) { return a < b ? a : b; }>, c });
    to.push_back({ "max." + type, two, binary<T, T, T, [](T a, T b) { return b < a ? a : b; }>, c });
    // Division by zero is left open by the document; all ones is what cards give.
    to.push_back({ "div." + type, two, binary<T, T, T, [](T a, T b) { return b == 0 ? (T)-1 : (T)(std::is_signed_v<T> && b == (T)-1 ? (U)(0 - (U)a) : (U)(a / b)); }>, c });
    to.push_back({ "rem." + type, two, binary<T, T, T, [](T a, T b) { return b == 0 ? a : std::is_signed_v<T> && b == (T)-1 ? (T)0 : (T)(a % b); }>, c });
    to.push_back({ "shr." + type, r + ":" + r + "w", binary<T, T, uint32_t, right<T>>, c });
    to.push_back({ "setp.eq." + type, "p:" + r + r, compare<T, [](T a, T b) { return a == b; }>, c });
    to.push_back({ "setp.ne." + type, "p:" + r + r, compare<T, [](T a, T b) { return a != b; }>, c });
    to.push_back({ "setp.lt." + type, "p:" + r + r, compare<T, [](T a, T b) { return a < b; }>, c });
    to.push_back({ "setp.le." + type, "p:" + r + r, compare<T, [](T a, T b) { return a <= b; }>, c });
    to.push_back({ "setp.gt." + type, "p:" + r + r, compare<T, [](T a, T b) { return b < a; }>, c });
    to.push_back({ "setp.ge." + type, "p:" + r + r, compare<T, [](T a, T b) { return a >= b; }>, c });
    to.push_back({ "selp." + type, two + "p", select<U>, c });
    to.push_back({ "mov." + type, r + ":" + r, convert<U, U>, Class::Move });
    if constexpr (std::is_signed_v<T>)
    {
        to.push_back({ "neg." + type, r + ":" + r, unary<U, U, [](U a) { return (U)(0 - a); }>, c });
        to.push_back({ "abs." + type, r + ":" + r, unary<U, T, [](T a) { return a < 0 ? (U)(0 - (U)a) : (U)a; }>, c });
    }
    if constexpr (sizeof(T) < 8)
    {
        to.push_back({ "mul.hi." + type, two, binary<T, T, T, [](T a, T b) { return (T)((W)((W)a * (W)b) >> (8 * sizeof(T))); }>, c });
        to.push_back({ "mul.wide." + type, ww + ":" + r + r, binary<W, T, T, [](T a, T b) { return (W)((W)a * (W)b); }>, c });
        to.push_back({ "mad.wide." + type, ww + ":" + r + r + ww, ternary<W, T, T, W, [](T a, T b, W x) { return (W)((W)((W)a * (W)b) + x); }>, c });
    }
}

template <class U> void untyped(std::vector<Form> &to, const std::string &type)
{
    std::string r(1, sizeof(U) == 2 ? 'h' : sizeof(U) == 4 ? 'w' : 'd');
    auto two = r + ":" + r + r;
    Class c = Class::Integer;
    to.push_back({ "and." + type, two, binary<U, U, U, [](U a, U b) { return (U)(a & b); }>, c });
    to.push_back({ "or." + type, two, binary<U, U, U, [](U a, U b) { return (U)(a | b); }>, c });
    to.push_back({ "xor." + type, two, binary<U, U, U, [](U a, U b) { return (U)(a ^ b); }>, c });
    to.push_back({ "not." + type, r + ":" + r, unary<U, U, [](U a) { return (U)~a; }>, c });
    to.push_back({ "shl." + type, r + ":" + r + "w", binary<U, U, uint32_t, left<U>>, c });
    to.push_back({ "shr." + type, r + ":" + r + "w", binary<U, U, uint32_t, right<U>>, c });
    to.push_back({ "selp." + type, two + "p", select<U>, c });
    to.push_back({ "setp.eq." + type, "p:" + r + r, compare<U, [](U a, U b) { return a == b; }>, c });
    to.push_back({ "setp.ne." + type, "p:" + r + r, compare<U, [](U a, U b) { return a != b; }>, c });
    to.push_back({ "mov." + type, r + ":" + r, convert<U, U>, Class::Move });
}

void floats(std::vector<Form> &to)
{
    using F = float;
    Class c = Class::Float, s = Class::Special;
    for (std::string round : { "", ".rn" })
    {
        to.push_back({ "add" + round + ".f32", "w:ww", binary<F, F, F, [](F a, F b) { return a + b; }>, c });
        to.push_back({ "sub" + round + ".f32", "w:ww", binary<F, F, F, [](F a, F b) { return a - b; }>, c });
        to.push_back({ "mul" + round + ".f32", "w:ww", binary<F, F, F, [](F a, F b) { return a * b; }>, c });
    }
    to.push_back({ "fma.rn.f32", "w:www", ternary<F, F, F, F, [](F a, F b, F x) { return __builtin_fmaf(a, b, x); }>, c });
    to.push_back({ "div.rn.f32", "w:ww", binary<F, F, F, [](F a, F b) { return a / b; }>, c });
    to.push_back({ "sqrt.rn.f32", "w:w", unary<F, F, [](F a) { return __builtin_sqrtf(a); }>, c });
    to.push_back({ "rcp.rn.f32", "w:w", unary<F, F, [](F a) { return 1.0f / a; }>, c });
    to.push_back({ "max.f32", "w:ww", binary<F, F, F, greater>, c });
    to.push_back({ "min.f32", "w:ww", binary<F, F, F, smaller>, c });
    to.push_back({ "abs.f32", "w:w", unary<uint32_t, uint32_t, [](uint32_t a) { return a & 0x7FFFFFFF; }>, c });
    to.push_back({ "neg.f32", "w:w", unary<uint32_t, uint32_t, [](uint32_t a) { return a ^ 0x80000000; }>, c });
    to.push_back({ "mov.f32", "w:w", convert<uint32_t, uint32_t>, Class::Move });
    to.push_back({ "selp.f32", "w:wwp", select<uint32_t>, c });
    // Ordered comparisons are false where one is a NaN; the others, with a u, are true.
    to.push_back({ "setp.eq.f32", "p:ww", compare<F, [](F a, F b) { return a == b; }>, c });
    to.push_back({ "setp.ne.f32", "p:ww", compare<F, [](F a, F b) { return a < b || b < a; }>, c });
    to.push_back({ "setp.neu.f32", "p:ww", compare<F, [](F a, F b) { return a != b; }>, c });
    to.push_back({ "setp.lt.f32", "p:ww", compare<F, [](F a, F b) { return a < b; }>, c });
    to.push_back({ "setp.le.f32", "p:ww", compare<F, [](F a, F b) { return a <= b; }>, c });
    to.push_back({ "setp.gt.f32", "p:ww", compare<F, [](F a, F b) { return b < a; }>, c });
    to.push_back({ "setp.ge.f32", "p:ww", compare<F, [](F a, F b) { return a >= b; }>, c });
    to.push_back({ "setp.ltu.f32", "p:ww", compare<F, [](F a, F b) { return !(a >= b); }>, c });
    to.push_back({ "setp.leu.f32", "p:ww", compare<F, [](F a, F b) { return !(b < a); }>, c });
    to.push_back({ "setp.gtu.f32", "p:ww", compare<F, [](F a, F b) { return !(a <= b); }>, c });
    to.push_back({ "setp.geu.f32", "p:ww", compare<F, [](F a, F b) { return !(a < b); }>, c });
    to.push_back({ "setp.nan.f32", "p:ww", compare<F, [](F a, F b) { return a != a || b != b; }>, c });
    // .approx: the exact value, rounded; cards are within the errors that the document gives.
    to.push_back({ "ex2.approx.ftz.f32", "w:w", unary<F, F, [](F a) { return flush((F)std::exp2((double)flush(a))); }>, s });
    to.push_back({ "lg2.approx.ftz.f32", "w:w", unary<F, F, [](F a) { return flush((F)std::log2((double)flush(a))); }>, s });
    to.push_back({ "rcp.approx.ftz.f32", "w:w", unary<F, F, [](F a) { return flush(1.0f / flush(a)); }>, s });
    to.push_back({ "rsqrt.approx.ftz.f32", "w:w", unary<F, F, [](F a) { return flush((F)(1.0 / std::sqrt((double)flush(a)))); }>, s });
    to.push_back({ "sqrt.approx.ftz.f32", "w:w", unary<F, F, [](F a) { return flush(__builtin_sqrtf(flush(a))); }>, s });
    to.push_back({ "div.approx.ftz.f32", "w:ww", binary<F, F, F, [](F a, F b) { return flush(flush(a) / flush(b)); }>, s });
}

template <class D, class A> void conversion(std::vector<Form> &to, const char *d, const char *a)
{
    auto letter = [](size_t bytes) { return std::string(1, bytes == 2 ? 'h' : bytes == 4 ? 'w' : 'd'); };
    std::string name = std::string("cvt.") + d + "." + a;
    auto add = [&](Run run, size_t bytes) { to.push_back({ name, letter(std::max(sizeof(D), (size_t)2)) + ":" + letter(bytes), run, Class::Convert }); };
    using Register = std::conditional_t<sizeof(D) == 1, uint16_t, D>;
    if constexpr (sizeof(A) <= 2) add(convert_low<Register, A, uint16_t>, 2);
    if constexpr (sizeof(A) <= 4) add(convert_low<Register, A, uint32_t>, 4);
    add(convert_low<Register, A, uint64_t>, 8);
}

template <class D> void conversions_to(std::vector<Form> &to, const char *d)
{
    conversion<D, int8_t>(to, d, "s8"), conversion<D, uint8_t>(to, d, "u8"), conversion<D, int16_t>(to, d, "s16"), conversion<D, uint16_t>(to, d, "u16");
    conversion<D, int32_t>(to, d, "s32"), conversion<D, uint32_t>(to, d, "u32"), conversion<D, int64_t>(to, d, "s64"), conversion<D, uint64_t>(to, d, "u64");
}

} // namespace

void add_lane_forms(std::vector<Form> &to)
{
    Class c = Class::Integer;
    integers<int16_t, int32_t>(to, "s16"), integers<uint16_t, uint32_t>(to, "u16");
    integers<int32_t, int64_t>(to, "s32"), integers<uint32_t, uint64_t>(to, "u32");
    integers<int64_t, int64_t>(to, "s64"), integers<uint64_t, uint64_t>(to, "u64");
    untyped<uint16_t>(to, "b16"), untyped<uint32_t>(to, "b32"), untyped<uint64_t>(to, "b64");
    floats(to);
    conversions_to<int16_t>(to, "s16"), conversions_to<uint16_t>(to, "u16"), conversions_to<int32_t>(to, "s32"), conversions_to<uint32_t>(to, "u32");
    conversions_to<int64_t>(to, "s64"), conversions_to<uint64_t>(to, "u64");
    to.push_back({ "cvt.rn.f32.s32", "w:w", convert<float, int32_t>, Class::Convert });
    to.push_back({ "cvt.rn.f32.u32", "w:w", convert<float, uint32_t>, Class::Convert });
    // The first source goes to the upper half.
    to.push_back({ "cvt.rn.bf16x2.f32", "w:ww", binary<uint32_t, float, float, [](float a, float b) { return bf16(a) << 16 | bf16(b); }>, Class::Convert });
    to.push_back({ "cvt.rn.bf16.f32", "h:w", unary<uint16_t, float, bf16>, Class::Convert });
    to.push_back({ "and.pred", "p:pp", predicates<[](uint32_t a, uint32_t b) { return a & b; }>, c });
    to.push_back({ "or.pred", "p:pp", predicates<[](uint32_t a, uint32_t b) { return a | b; }>, c });
    to.push_back({ "xor.pred", "p:pp", predicates<[](uint32_t a, uint32_t b) { return a ^ b; }>, c });
    to.push_back({ "not.pred", "p:p", not_predicate, c });
    to.push_back({ "mov.pred", "p:p", move_predicate, Class::Move });
    to.push_back({ "mov.b64", "d:{2w}", join<uint64_t, uint32_t>, Class::Move });
    to.push_back({ "mov.b64", "{2w}:d", divide_in_two<uint64_t, uint32_t>, Class::Move });
    to.push_back({ "mov.b32", "w:{2h}", join<uint32_t, uint16_t>, Class::Move });
    to.push_back({ "mov.b32", "{2h}:w", divide_in_two<uint32_t, uint16_t>, Class::Move });
    to.push_back({ "bfe.u32", "w:www", ternary<uint32_t, uint32_t, uint32_t, uint32_t, field>, c });
    to.push_back({ "bfe.s32", "w:www", ternary<int32_t, int32_t, uint32_t, uint32_t, signed_field>, c });
    to.push_back({ "bfi.b32", "w:wwww", insert_bits, c });
    to.push_back({ "lop3.b32", "w:wwwi", logic_of_three, c });
    to.push_back({ "prmt.b32", "w:www", ternary<uint32_t, uint32_t, uint32_t, uint32_t, permute>, c });
    to.push_back({ "popc.b32", "w:w", unary<uint32_t, uint32_t, [](uint32_t a) { return (uint32_t)__builtin_popcount(a); }>, c });
    to.push_back({ "popc.b64", "w:d", unary<uint32_t, uint64_t, [](uint64_t a) { return (uint32_t)__builtin_popcountll(a); }>, c });
    to.push_back({ "clz.b32", "w:w", unary<uint32_t, uint32_t, [](uint32_t a) { return a ? (uint32_t)__builtin_clz(a) : 32u; }>, c });
    to.push_back({ "clz.b64", "w:d", unary<uint32_t, uint64_t, [](uint64_t a) { return a ? (uint32_t)__builtin_clzll(a) : 64u; }>, c });
    to.push_back({ "brev.b32", "w:w", unary<uint32_t, uint32_t, reversed>, c });
    to.push_back({ "shf.r.wrap.b32", "w:www", ternary<uint32_t, uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b, uint32_t n) { return funnel_right(a, b, n & 31); }>, c });
    to.push_back({ "shf.l.wrap.b32", "w:www", ternary<uint32_t, uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b, uint32_t n) { return funnel_left(a, b, n & 31); }>, c });
    to.push_back({ "shf.r.clamp.b32", "w:www", ternary<uint32_t, uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b, uint32_t n) { return funnel_right(a, b, std::min(n, 32u)); }>, c });
    to.push_back({ "shf.l.clamp.b32", "w:www", ternary<uint32_t, uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b, uint32_t n) { return funnel_left(a, b, std::min(n, 32u)); }>, c });
    to.push_back({ "dp4a.s32.s32", "w:www", ternary<int32_t, uint32_t, uint32_t, int32_t, products<int8_t, int8_t, int32_t>>, c });
    to.push_back({ "dp4a.u32.u32", "w:www", ternary<uint32_t, uint32_t, uint32_t, uint32_t, products<uint8_t, uint8_t, uint32_t>>, c });
    to.push_back({ "ld.param.u32", "w:m", load_parameter<uint32_t>, Class::Move });
    to.push_back({ "ld.param.s32", "w:m", load_parameter<uint32_t>, Class::Move });
    to.push_back({ "ld.param.b32", "w:m", load_parameter<uint32_t>, Class::Move });
    to.push_back({ "ld.param.f32", "w:m", load_parameter<uint32_t>, Class::Move });
    to.push_back({ "ld.param.u64", "d:m", load_parameter<uint64_t>, Class::Move });
    to.push_back({ "ld.param.b64", "d:m", load_parameter<uint64_t>, Class::Move });
}

} // namespace ptx
