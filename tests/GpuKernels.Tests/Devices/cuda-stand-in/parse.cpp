// PTX text to statements with numbered registers (PTX ISA, "Syntax", "State Spaces, Types, and Variables").
#include "ptx.h"

#include <array>
#include <cctype>
#include <cstdlib>
#include <map>

namespace ptx {

void refuse(uint32_t line, const std::string &what) { throw Refused("line " + std::to_string(line) + ": " + what); }

namespace {

struct Token
{
    enum { Word, Number, Text, Mark, End } kind = End;
    std::string_view text;
    uint32_t line = 0;
};

class Lexer
{
public:
    explicit Lexer(std::string_view text) : _text(text) { next(); }
    const Token &now() const { return _now; }
    bool is(std::string_view mark) const { return _now.kind != Token::Text && _now.text == mark; }

    Token take()
    {
        Token taken = _now;
        next();
        return taken;
    }

    bool skip(std::string_view mark)
    {
        if (!is(mark)) return false;
        next();
        return true;
    }

    void expect(std::string_view mark)
    {
        if (!skip(mark)) refuse(_now.line, "expected '" + std::string(mark) + "', found '" + std::string(_now.text) + "'");
    }

private:
    static bool in_word(char c) { return std::isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.'; }

    void next()
    {
        for (;;)
        {
            while (_at < _text.size() && std::isspace((unsigned char)_text[_at])) _line += _text[_at++] == '\n';
            if (_text.substr(_at, 2) == "//") while (_at < _text.size() && _text[_at] != '\n') _at++;
            else if (_text.substr(_at, 2) == "/*")
            {
                while (_at < _text.size() && _text.substr(_at, 2) != "*/") _line += _text[_at++] == '\n';
                _at += 2;
            }
            else break;
        }
        size_t from = _at;
        _now.line = _line;
        if (_at >= _text.size())
        {
            _now.kind = Token::End;
            _now.text = "";
        }
        else if (in_word(_text[_at]))
        {
            _now.kind = std::isdigit((unsigned char)_text[_at]) ? Token::Number : Token::Word;
            while (_at < _text.size() && (in_word(_text[_at]) || _text.substr(_at, 2) == "::")) _at += _text[_at] == ':' ? 2 : 1;
            _now.text = _text.substr(from, _at - from);
        }
        else if (_text[_at] == '"')
        {
            _at = _text.find('"', _at + 1);
            if (_at == std::string_view::npos) refuse(_line, "a text without its end");
            _now.kind = Token::Text;
            _now.text = _text.substr(from, ++_at - from);
        }
        else
        {
            _at++;
            _now.kind = Token::Mark;
            _now.text = _text.substr(from, 1);
        }
    }

    std::string_view _text;
    size_t _at = 0;
    uint32_t _line = 1;
    Token _now;
};

const std::map<std::string_view, Special> SPECIALS = {
    { "%tid.x", Special::TidX }, { "%tid.y", Special::TidY }, { "%tid.z", Special::TidZ }, { "%ntid.x", Special::NtidX }, { "%ntid.y", Special::NtidY },
    { "%ntid.z", Special::NtidZ }, { "%ctaid.x", Special::CtaidX }, { "%ctaid.y", Special::CtaidY }, { "%ctaid.z", Special::CtaidZ },
    { "%nctaid.x", Special::NctaidX }, { "%nctaid.y", Special::NctaidY }, { "%nctaid.z", Special::NctaidZ }, { "%laneid", Special::Lane }, { "%warpid", Special::Warp },
    { "%cluster_ctarank", Special::ClusterRank },
};

class Parser
{
public:
    explicit Parser(std::string_view text) : _lexer(text) {}

    Module module()
    {
        Module module;
        while (_lexer.now().kind != Token::End)
        {
            Token token = _lexer.take();
            if (token.text == ".version")
            {
                std::string number(_lexer.take().text);
                size_t dot = number.find('.');
                module.version = std::atoi(number.c_str()) * 10 + (dot == std::string::npos ? 0 : std::atoi(number.c_str() + dot + 1));
            }
            else if (token.text == ".target")
            {
                std::string name(_lexer.take().text);
                if (name.compare(0, 3, "sm_") != 0) refuse(token.line, "target " + name);
                module.target = std::atoi(name.c_str() + 3);
                while (_lexer.skip(",")) _lexer.take();
            }
            else if (token.text == ".address_size") _lexer.take();
            else if (token.text == ".extern" || token.text == ".visible" || token.text == ".weak") continue;
            else if (token.text == ".shared") _shared.push_back(variable(token.line));
            else if (token.text == ".entry") module.kernels.push_back(entry());
            else refuse(token.line, "not known: " + std::string(token.text));
        }
        if (module.version == 0 || module.target == 0) refuse(1, "no .version or no .target");
        return module;
    }

private:
    static uint32_t bytes_of(const Token &type)
    {
        std::string_view t = type.text;
        if (t.size() < 3 || t[0] != '.') refuse(type.line, "not a type: " + std::string(t));
        int bits = std::atoi(std::string(t.substr(2)).c_str());
        if (bits != 8 && bits != 16 && bits != 32 && bits != 64) refuse(type.line, "not a type: " + std::string(t));
        return bits / 8;
    }

    uint32_t number()
    {
        Token token = _lexer.take();
        if (token.kind != Token::Number) refuse(token.line, "not a number: " + std::string(token.text));
        return (uint32_t)std::strtoul(std::string(token.text).c_str(), nullptr, 0);
    }

    Symbol variable(uint32_t line)
    {
        uint32_t align = 0;
        if (_lexer.skip(".align")) align = number();
        uint32_t each = bytes_of(_lexer.take());
        Symbol symbol { std::string(_lexer.take().text), align ? align : each, each, false, 0 };
        if (_lexer.skip("["))
        {
            if (_lexer.is("]")) { symbol.dynamic = true; symbol.bytes = 0; }
            else symbol.bytes = each * number();
            _lexer.expect("]");
        }
        if (!_lexer.skip(";")) refuse(line, "a variable with values: " + symbol.name);
        return symbol;
    }

    Kernel entry()
    {
        Body body;
        body.name = std::string(_lexer.take().text);
        _body = &body;
        _scopes.assign(1, {});
        body.symbols = _shared;
        uint32_t offset = 0;
        if (_lexer.skip("("))
        {
            while (!_lexer.skip(")"))
            {
                _lexer.expect(".param");
                uint32_t bytes = bytes_of(_lexer.take());
                while (_lexer.is(".ptr") || _lexer.is(".global") || _lexer.is(".shared")) _lexer.take();
                if (_lexer.skip(".align")) number();
                offset = (offset + bytes - 1) / bytes * bytes;
                body.parameters.push_back({ std::string(_lexer.take().text), offset, bytes });
                offset += bytes;
                _lexer.skip(",");
            }
        }
        // .maxntid and its like bind the compiler, not what is computed.
        while (!_lexer.is("{"))
        {
            Token token = _lexer.take();
            if (token.text != ".reqnctapercluster") continue;
            body.cluster = number();
            while (_lexer.skip(",")) if (number() != 1) refuse(token.line, "a cluster that is not along x");
        }
        _lexer.expect("{");
        int depth = 1;
        while (depth > 0)
        {
            if (_lexer.now().kind == Token::End) refuse(_lexer.now().line, "a kernel without its end");
            if (_lexer.skip("{")) { depth++; _scopes.emplace_back(); }
            else if (_lexer.skip("}")) { depth--; _scopes.pop_back(); }
            else statement();
        }
        return decode(body);
    }

    void registers()
    {
        Token type = _lexer.take();
        Width width = type.text == ".pred" ? Width::Predicate : bytes_of(type) <= 2 ? Width::Half : bytes_of(type) == 4 ? Width::Word : Width::Double;
        do
        {
            std::string name(_lexer.take().text);
            if (_lexer.skip("<"))
            {
                uint32_t count = number();
                for (uint32_t i = 0; i < count; i++) declare(name + std::to_string(i), width);
                _lexer.expect(">");
            }
            else declare(name, width);
        } while (_lexer.skip(","));
        _lexer.expect(";");
    }

    void declare(std::string name, Width width)
    {
        _scopes.back()[std::move(name)] = (uint32_t)_body->registers.size();
        _body->registers.push_back(width);
    }

    uint32_t find(std::string_view name, uint32_t line)
    {
        std::string key(name);
        for (size_t i = _scopes.size(); i-- > 0;)
            if (auto found = _scopes[i].find(key); found != _scopes[i].end()) return found->second;
        if (auto special = SPECIALS.find(name); special != SPECIALS.end())
        {
            uint32_t reg = (uint32_t)_body->registers.size();
            _scopes.front()[key] = reg;
            _body->registers.push_back(Width::Word);
            _body->specialOf.push_back(special->second);
            _body->specialRegister.push_back(reg);
            return reg;
        }
        if (name[0] == '%') refuse(line, "register " + key + " is not declared or not known");
        return NONE;
    }

    void statement()
    {
        Token token = _lexer.take();
        if (token.text == ".reg") return registers();
        if (token.text == ".shared") { _body->symbols.push_back(variable(token.line)); return; }
        if (token.text == ".pragma" || token.text == ".loc" || token.text == ".file")
        {
            while (!_lexer.skip(";")) if (_lexer.take().kind == Token::End) refuse(token.line, "a directive without its end");
            return;
        }
        Statement statement;
        statement.line = token.line;
        if (token.text == "@")
        {
            statement.negated = _lexer.skip("!");
            Token guard = _lexer.take();
            statement.guard = find(guard.text, guard.line);
            if (statement.guard == NONE) refuse(guard.line, "no predicate: " + std::string(guard.text));
            token = _lexer.take();
        }
        else if (_lexer.skip(":"))
        {
            if (!_body->labels.emplace(std::string(token.text), (uint32_t)_body->statements.size()).second) refuse(token.line, "two labels " + std::string(token.text));
            return;
        }
        if (token.kind != Token::Word) refuse(token.line, "not an instruction: " + std::string(token.text));
        statement.name = std::string(token.text);
        if (!_lexer.is(";"))
            do statement.operands.push_back(operand()); while (_lexer.skip(","));
        _lexer.expect(";");
        _body->statements.push_back(std::move(statement));
    }

    Operand operand()
    {
        Operand result;
        if (_lexer.skip("{"))
        {
            result.kind = Operand::List;
            do result.parts.push_back(operand()); while (_lexer.skip(","));
            _lexer.expect("}");
            return result;
        }
        if (_lexer.skip("["))
        {
            result = operand();
            Operand address;
            address.kind = Operand::Address;
            if (_lexer.skip("+")) address.bits = operand().bits;
            else if (_lexer.is("-")) address.bits = operand().bits;
            _lexer.expect("]");
            address.parts.push_back(std::move(result));
            return address;
        }
        bool negative = _lexer.skip("-");
        Token token = _lexer.take();
        if (token.kind == Token::Number)
        {
            result.kind = Operand::Number;
            std::string text(token.text);
            char second = text.size() > 1 ? text[1] : 0;
            // 0f and 0d: the bits of a float and of a double.
            if (text[0] == '0' && (second == 'f' || second == 'F' || second == 'd' || second == 'D')) result.bits = std::strtoull(text.c_str() + 2, nullptr, 16);
            else result.bits = std::strtoull(text.c_str(), nullptr, 0);
            if (negative) result.bits = -result.bits;
            return result;
        }
        if (negative || token.kind != Token::Word) refuse(token.line, "not an operand: " + std::string(token.text));
        if (token.text == "_") return result;
        result.reg = find(token.text, token.line);
        result.kind = result.reg == NONE ? Operand::Symbol : Operand::Register;
        result.name = std::string(token.text);
        if (_lexer.skip("|"))
        {
            Operand pair;
            pair.kind = Operand::Pair;
            pair.parts.push_back(std::move(result));
            pair.parts.push_back(operand());
            return pair;
        }
        return result;
    }

    Lexer _lexer;
    Body *_body = nullptr;
    std::vector<std::unordered_map<std::string, uint32_t>> _scopes;
    std::vector<Symbol> _shared;
};

} // namespace

Module parse(std::string_view text) { return Parser(text).module(); }

} // namespace ptx
