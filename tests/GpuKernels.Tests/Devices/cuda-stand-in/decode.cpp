// Statements to operations: each gets its form by name and by the widths of its operands, registers get places by how long they live.
#include "ptx.h"

#include <algorithm>
#include <cctype>
#include <map>

namespace ptx {

const std::vector<Form> &forms()
{
    static const std::vector<Form> all = [] {
        std::vector<Form> made;
        add_lane_forms(made);
        add_memory_forms(made);
        add_collective_forms(made);
        add_asynchronous_forms(made);
        return made;
    }();
    return all;
}

const std::unordered_map<std::string_view, std::vector<uint16_t>> &forms_by_name()
{
    static const auto all = [] {
        std::unordered_map<std::string_view, std::vector<uint16_t>> made;
        for (size_t i = 0; i < forms().size(); i++) made[forms()[i].name].push_back((uint16_t)i);
        return made;
    }();
    return all;
}

namespace {

Width width_of(char c) { return c == 'p' ? Width::Predicate : c == 'h' ? Width::Half : c == 'd' ? Width::Double : Width::Word; }
uint32_t bytes_of(Width w) { return w == Width::Predicate ? 4 : w == Width::Half ? 64 : w == Width::Word ? 128 : 256; }

class Decoder
{
public:
    explicit Decoder(Body &body) : _body(body), _registers((uint32_t)body.registers.size()) {}

    Kernel kernel()
    {
        _kernel.name = _body.name;
        _kernel.parameters = _body.parameters;
        _kernel.cluster = _body.cluster;
        for (const Parameter &p : _body.parameters) _kernel.parameterBytes = std::max(_kernel.parameterBytes, p.offset + p.bytes);
        place_symbols();
        for (const Statement &statement : _body.statements) decode(statement);
        if (_kernel.ops.empty() || !(_kernel.ops.back().kind == Kind::Return || _kernel.ops.back().kind == Kind::Branch)) refuse(0, _body.name + " does not end in ret");
        std::vector<uint32_t> places = place_registers();
        for (Op &op : _kernel.ops)
        {
            for (uint32_t &o : op.o) if (o != NONE) o = places[o];
            if (op.guard != NONE) op.guard = places[op.guard];
        }
        for (size_t i = 0; i < _kernel.lists.size(); i++) if (!_raw[i]) _kernel.lists[i] = places[_kernel.lists[i]];
        _kernel.uses = std::move(_uses);
        _kernel.registers = _registers;
        return std::move(_kernel);
    }

private:
    void place_symbols()
    {
        uint32_t at = 0;
        for (int dynamic = 0; dynamic < 2; dynamic++)
        {
            for (Symbol &symbol : _body.symbols)
            {
                if (symbol.dynamic != (dynamic == 1)) continue;
                at = (at + symbol.align - 1) / symbol.align * symbol.align;
                symbol.at = at;
                at += symbol.bytes;
            }
            (dynamic ? _kernel.dynamicShared : _kernel.staticShared) = at;
        }
    }

    uint32_t constant(Width width, uint64_t bits)
    {
        if (width == Width::Predicate) bits = bits ? 0xFFFFFFFF : 0;
        if (width == Width::Half) bits &= 0xFFFF;
        if (width == Width::Word) bits &= 0xFFFFFFFF;
        auto [found, fresh] = _constants.emplace(std::pair(width, bits), (uint32_t)_kernel.constants.size());
        if (fresh) _kernel.constants.push_back({ width, bits, 0 });
        return _registers + found->second;
    }

    bool fits(const Operand &operand, Width width) const
    {
        if (operand.kind == Operand::Register) return _body.registers[operand.reg] == width;
        if (operand.kind == Operand::Symbol) return (width == Width::Word || width == Width::Double) && symbol(operand.name);
        return operand.kind == Operand::Number;
    }

    const Symbol *symbol(const std::string &name) const
    {
        for (const Symbol &s : _body.symbols) if (s.name == name) return &s;
        return nullptr;
    }

    uint32_t id(const Operand &operand, Width width)
    {
        if (operand.kind == Operand::Register) return operand.reg;
        if (operand.kind == Operand::Symbol) return constant(width, symbol(operand.name)->at);
        return constant(width, operand.bits);
    }

    bool takes(const Form &form, const Statement &statement) const
    {
        size_t next = 0;
        const std::string &s = form.operands;
        for (size_t i = 0; i < s.size(); i++)
        {
            if (s[i] == ':' || s[i] == '+') continue;
            if (next == statement.operands.size()) return false;
            const Operand &operand = statement.operands[next++];
            switch (s[i])
            {
                case '{':
                {
                    uint32_t count = 0;
                    while (std::isdigit((unsigned char)s[++i])) count = count * 10 + (uint32_t)(s[i] - '0');
                    if (operand.kind != Operand::List || operand.parts.size() != count) return false;
                    for (const Operand &part : operand.parts) if (!fits(part, width_of(s[i]))) return false;
                    i++;
                    break;
                }
                case 'a':
                    if (operand.kind != Operand::Address) return false;
                    if (const Operand &base = operand.parts[0]; base.kind == Operand::Register ? _body.registers[base.reg] < Width::Word : base.kind != Operand::Symbol || !symbol(base.name)) return false;
                    break;
                case 'm': if (operand.kind != Operand::Address || operand.parts[0].kind != Operand::Symbol) return false; break;
                case 'i': if (operand.kind != Operand::Number) return false; break;
                case 'l': if (operand.kind != Operand::Symbol) return false; break;
                case '_': if (operand.kind != Operand::Nothing) return false; break;
                case 'x':
                    if (operand.kind == Operand::Pair ? !fits(operand.parts[0], Width::Word) || !fits(operand.parts[1], Width::Predicate) : operand.kind != Operand::Register || !fits(operand, Width::Word)) return false;
                    break;
                default: if (!fits(operand, width_of(s[i]))) return false; break;
            }
        }
        return next == statement.operands.size();
    }

    void decode(const Statement &statement)
    {
        auto named = forms_by_name().find(statement.name);
        if (named == forms_by_name().end()) refuse(statement.line, "instruction " + statement.name + " is not known");
        for (uint16_t number : named->second)
        {
            const Form &form = forms()[number];
            if (!takes(form, statement)) continue;
            emit(form, number, statement);
            return;
        }
        refuse(statement.line, "instruction " + statement.name + " is not known with these operands");
    }

    void emit(const Form &form, uint16_t number, const Statement &statement)
    {
        Op op;
        op.run = form.run;
        op.form = number;
        op.kind = form.kind;
        op.counted = form.counted;
        op.line = statement.line;
        op.joins = form.kind == Kind::Together && form.name.find(".sync") != std::string::npos;
        op.guard = statement.guard;
        op.negated = statement.negated;
        op.list = (uint32_t)_kernel.lists.size();
        std::fill(std::begin(op.o), std::end(op.o), NONE);
        if (form.name.find(".shared") != std::string::npos && (form.name.find(".u8") != std::string::npos || form.name.find(".s8") != std::string::npos || form.name.find(".u16") != std::string::npos || form.name.find(".s16") != std::string::npos)) _kernel.narrowShared = true;
        if (form.name.compare(0, 2, "st") == 0 && form.name.find(".global") != std::string::npos && (form.name.find("8", 9) != std::string::npos || form.name.find(".u16") != std::string::npos)) _kernel.narrowGlobal = true;
        Uses uses;
        bool written = form.operands.find(':') != std::string::npos, both = false;
        size_t next = 0, slot = 0, addresses = 0;
        auto use = [&](uint32_t reg) {
            if (reg >= _registers) return;
            if (written || both) uses.writes.push_back(reg);
            // What is written for some lanes only keeps the others' values.
            if (!written || both || statement.guard != NONE) uses.reads.push_back(reg);
        };
        const std::string &s = form.operands;
        for (size_t i = 0; i < s.size(); i++)
        {
            if (s[i] == ':') { written = false; continue; }
            if (s[i] == '+') { both = true; continue; }
            const Operand &operand = statement.operands[next++];
            switch (s[i])
            {
                case '{':
                {
                    while (std::isdigit((unsigned char)s[++i])) {}
                    for (const Operand &part : operand.parts)
                    {
                        uint32_t reg = id(part, width_of(s[i]));
                        use(reg);
                        if ((!written || both) && reg < _registers) uses.listed.push_back(reg);
                        list(reg, false);
                    }
                    i++;
                    both = false;
                    break;
                }
                case 'a':
                {
                    const Operand &base = operand.parts[0];
                    bool wide = base.kind == Operand::Register && _body.registers[base.reg] == Width::Double;
                    if (addresses > 0 && operand.bits) refuse(statement.line, "an offset that is not the first address's");
                    if (addresses == 0) { op.wide = wide; op.imm = (int64_t)operand.bits; }
                    if (addresses == 1) op.wide2 = wide;
                    addresses++;
                    bool write = written;
                    written = false;
                    uint32_t reg = id(base, wide ? Width::Double : Width::Word);
                    use(reg);
                    written = write;
                    op.o[slot++] = reg;
                    break;
                }
                case 'm':
                {
                    const std::string &name = operand.parts[0].name;
                    auto found = std::find_if(_body.parameters.begin(), _body.parameters.end(), [&](const Parameter &p) { return p.name == name; });
                    if (found == _body.parameters.end()) refuse(statement.line, "no parameter " + name);
                    op.imm = (int64_t)(found->offset + operand.bits);
                    break;
                }
                case 'i': list((uint32_t)operand.bits, true); break;
                case 'l':
                {
                    auto found = _body.labels.find(operand.name);
                    if (found == _body.labels.end()) refuse(statement.line, "no label " + operand.name);
                    op.target = (int32_t)found->second;
                    break;
                }
                case '_': break;
                case 'x':
                {
                    const Operand &word = operand.kind == Operand::Pair ? operand.parts[0] : operand;
                    use(op.o[slot++] = word.reg);
                    if (operand.kind == Operand::Pair && operand.parts[1].kind == Operand::Register) use(op.o[slot] = operand.parts[1].reg);
                    slot++;
                    break;
                }
                default:
                    if (written && operand.kind != Operand::Register) refuse(statement.line, "a result that is not a register");
                    use(op.o[slot++] = id(operand, width_of(s[i])));
                    break;
            }
        }
        if (op.guard != NONE) uses.reads.push_back(op.guard);
        _kernel.ops.push_back(op);
        _uses.push_back(std::move(uses));
    }

    void list(uint32_t value, bool raw)
    {
        _kernel.lists.push_back(value);
        _raw.push_back(raw);
    }

    /// Places for registers, reused as soon as a value is dead, since a warp's values then stay in the processor's nearest cache. Lanes are apart:
    /// an operation changes those that it is done for and no other, so that liveness along one lane's way is enough.
    std::vector<uint32_t> place_registers()
    {
        size_t count = _kernel.ops.size(), words = (_registers + 63) / 64;
        std::vector<uint32_t> starts;
        std::vector<bool> leader(count + 1);
        leader[0] = true;
        for (size_t i = 0; i < count; i++)
        {
            const Op &op = _kernel.ops[i];
            if (op.kind == Kind::Branch)
            {
                if ((size_t)op.target >= count) refuse(op.line, "a label behind the kernel's end");
                leader[(size_t)op.target] = true;
            }
            if (op.kind == Kind::Branch || op.kind == Kind::Return) leader[i + 1] = true;
        }
        std::vector<uint32_t> blockOf(count + 1);
        for (size_t i = 0; i < count; i++)
        {
            if (leader[i]) starts.push_back((uint32_t)i);
            blockOf[i] = (uint32_t)starts.size() - 1;
        }
        size_t blocks = starts.size();
        starts.push_back((uint32_t)count);
        using Bits = std::vector<uint64_t>;
        std::vector<Bits> reads(blocks, Bits(words)), writes(blocks, Bits(words)), in(blocks, Bits(words)), out(blocks, Bits(words));
        auto has = [](const Bits &bits, uint32_t i) { return bits[i / 64] >> (i % 64) & 1; };
        auto put = [](Bits &bits, uint32_t i) { bits[i / 64] |= 1ull << (i % 64); };
        for (size_t i = 0; i < count; i++)
        {
            uint32_t b = blockOf[i];
            for (uint32_t r : _uses[i].reads) if (!has(writes[b], r)) put(reads[b], r);
            for (uint32_t r : _uses[i].writes) put(writes[b], r);
        }
        for (bool changed = true; changed;)
        {
            changed = false;
            for (size_t b = blocks; b-- > 0;)
            {
                const Op &last = _kernel.ops[starts[b + 1] - 1];
                Bits &o = out[b];
                auto join = [&](const Bits &from) { for (size_t w = 0; w < words; w++) o[w] |= from[w]; };
                if (last.kind == Kind::Branch) join(in[blockOf[(size_t)last.target]]);
                bool falls = !(last.kind == Kind::Return || last.kind == Kind::Branch) || last.guard != NONE;
                if (falls && b + 1 < blocks) join(in[b + 1]);
                for (size_t w = 0; w < words; w++)
                {
                    uint64_t bits = reads[b][w] | (o[w] & ~writes[b][w]);
                    changed |= bits != in[b][w];
                    in[b][w] = bits;
                }
            }
        }
        std::vector<int64_t> from(_registers, INT64_MAX), to(_registers, -1);
        auto extend = [&](uint32_t r, int64_t at) { from[r] = std::min(from[r], at); to[r] = std::max(to[r], at); };
        for (size_t b = 0; b < blocks; b++)
        {
            for (uint32_t r = 0; r < _registers; r++)
            {
                if (has(in[b], r)) extend(r, starts[b]);
                if (has(out[b], r)) extend(r, starts[b + 1]);
            }
        }
        for (size_t i = 0; i < count; i++)
        {
            for (uint32_t r : _uses[i].reads) extend(r, (int64_t)i);
            for (uint32_t r : _uses[i].writes) extend(r, (int64_t)i);
        }
        return assign(from, to);
    }

    std::vector<uint32_t> assign(const std::vector<int64_t> &from, const std::vector<int64_t> &to)
    {
        std::vector<uint32_t> order, places(_registers + _kernel.constants.size(), 0), slot(_registers, 0);
        std::vector<bool> special(_registers);
        for (uint32_t r : _body.specialRegister) special[r] = true;
        for (uint32_t r = 0; r < _registers; r++) if (to[r] >= 0 && !special[r]) order.push_back(r);
        std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return from[a] < from[b]; });
        std::vector<uint32_t> free[4], next(4, 0);
        std::multimap<int64_t, uint32_t> ends;
        for (uint32_t r : order)
        {
            while (!ends.empty() && ends.begin()->first < from[r])
            {
                uint32_t dead = ends.begin()->second;
                free[(int)_body.registers[dead]].push_back(slot[dead]);
                ends.erase(ends.begin());
            }
            int width = (int)_body.registers[r];
            if (free[width].empty()) slot[r] = next[(size_t)width]++;
            else { slot[r] = free[width].back(); free[width].pop_back(); }
            ends.emplace(to[r], r);
        }
        uint32_t base[4], at = 0;
        for (int width = 0; width < 4; width++)
        {
            base[width] = at;
            at = (at + next[(size_t)width] * bytes_of((Width)width) + 63) / 64 * 64;
        }
        for (uint32_t r : order) places[r] = base[(int)_body.registers[r]] + slot[r] * bytes_of(_body.registers[r]);
        for (size_t i = 0; i < _body.specialRegister.size(); i++)
        {
            places[_body.specialRegister[i]] = at;
            _kernel.specials.push_back({ _body.specialOf[i], at });
            at += 128;
        }
        for (size_t i = 0; i < _kernel.constants.size(); i++)
        {
            places[_registers + i] = _kernel.constants[i].at = at;
            at += (bytes_of(_kernel.constants[i].width) + 63) / 64 * 64;
        }
        _kernel.registerBytes = at;
        return places;
    }

    Body &_body;
    uint32_t _registers;
    Kernel _kernel;
    std::map<std::pair<Width, uint64_t>, uint32_t> _constants;
    std::vector<Uses> _uses;
    std::vector<bool> _raw;
};

} // namespace

Kernel decode(Body &body)
{
    Kernel made = Decoder(body).kernel();
    order(made.ops);
    return made;
}

} // namespace ptx
