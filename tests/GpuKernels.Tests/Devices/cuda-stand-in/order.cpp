// In which order a warp's lanes that are at different places are run: those of what comes first, which wait where they meet others. As they stand in the text is
// no such order, since clang puts a loop's end before its beginning: lanes that are there would begin the next round alone. NVIDIA's assembler has them meet where
// all ways from a branch meet (BSSY and BSYNC in its output), within a loop too. So: whatever a branch leads to comes before what both its ways lead to, and a loop
// before what follows it (Bourdoncle, "Efficient chaotic iteration strategies with widenings", 1993, figure 4).
#include "ptx.h"

#include <algorithm>

namespace ptx {

namespace {

struct Orderer
{
    explicit Orderer(std::vector<Op> &ops) : _ops(ops) {}

    void order()
    {
        size_t count = _ops.size();
        std::vector<bool> leads(count + 1, false);
        if (count == 0) return;
        leads[0] = true;
        for (size_t i = 0; i < count; i++)
        {
            if (_ops[i].kind == Kind::Branch) leads[(size_t)_ops[i].target] = true;
            if (_ops[i].kind == Kind::Branch || _ops[i].kind == Kind::Return) leads[i + 1] = true;
        }
        std::vector<uint32_t> blockOf(count);
        for (size_t i = 0; i < count; i++)
        {
            if (leads[i]) _first.push_back(i);
            blockOf[i] = (uint32_t)_first.size() - 1;
        }
        _first.push_back(count);
        _next.resize(_first.size() - 1);
        for (size_t block = 0; block < _next.size(); block++)
        {
            size_t last = _first[block + 1] - 1;
            const Op &op = _ops[last];
            bool leaves = (op.kind == Kind::Branch || op.kind == Kind::Return) && op.guard == NONE;
            if (op.kind == Kind::Branch) _next[block].push_back(blockOf[(size_t)op.target]);
            if (!leaves && last + 1 < count) _next[block].push_back(blockOf[last + 1]);
        }
        _number.assign(_next.size(), 0);
        visit(0);
        uint32_t at = 0;
        for (size_t i = _backward.size(); i-- > 0;) for (size_t op = _first[_backward[i]]; op < _first[_backward[i] + 1]; op++) _ops[op].order = at++;
    }

private:
    static constexpr uint32_t DONE = ~0u;

    /// Gives the least number of a loop's head that the block leads back to, or its own.
    uint32_t visit(uint32_t block)
    {
        _stack.push_back(block);
        uint32_t own = _number[block] = ++_numbers, head = own;
        bool loops = false;
        for (uint32_t next : _next[block])
        {
            uint32_t least = _number[next] == 0 ? visit(next) : _number[next];
            if (least <= head) head = least, loops = true;
        }
        if (head != own) return head;
        _number[block] = DONE;
        while (_stack.back() != block)
        {
            _number[_stack.back()] = 0;
            _stack.pop_back();
        }
        _stack.pop_back();
        // A loop's blocks are ordered again, without what leads back to its head.
        if (loops) for (uint32_t next : _next[block]) if (_number[next] == 0) visit(next);
        _backward.push_back(block);
        return head;
    }

    std::vector<Op> &_ops;
    std::vector<size_t> _first;
    std::vector<std::vector<uint32_t>> _next;
    std::vector<uint32_t> _number, _stack, _backward;
    uint32_t _numbers = 0;
};

} // namespace

void order(std::vector<Op> &ops) { Orderer(ops).order(); }

} // namespace ptx
