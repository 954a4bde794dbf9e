using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Platform.EventStore.Audit;

/// <summary>
/// One byte form for one JSON value, whatever jsonb does to white space, key order and digits: keys sorted by their UTF-8 bytes, no white space, the
/// escapes of RFC 8785 section 3.2.2.2, and numbers as plain decimals without an exponent or trailing zeros. Unlike RFC 8785 a number keeps all its
/// digits, since PostgreSQL's numeric does.
/// </summary>
public static class CanonicalJson
{
    /// <summary>Deeper values are refused: an event is a record, not a puzzle.</summary>
    public const int MaxDepth = 128;

    /// <summary>1e1000 written out; jsonb writes every number out, so a stored one has no exponent.</summary>
    private const int MaxExponent = 1_000;

    /// <exception cref="JsonException">The text is no JSON, too deep, or has a member twice.</exception>
    public static void Write(ReadOnlySpan<byte> json, ArrayBufferWriter<byte> target)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        if (!reader.Read()) { throw new JsonException("No value."); }
        Value(ref reader, target);
        if (reader.Read()) { throw new JsonException("More than one value."); }
    }

    public static byte[] Of(ReadOnlySpan<byte> json)
    {
        var target = new ArrayBufferWriter<byte>(json.Length + 16);
        Write(json, target);
        return target.WrittenSpan.ToArray();
    }

    /// <summary>Writes text as a JSON string.</summary>
    public static void Text(ReadOnlySpan<byte> utf8, ArrayBufferWriter<byte> target)
    {
        Put(target, (byte)'"');
        while (true)
        {
            var plain = 0;
            while (plain < utf8.Length && utf8[plain] is >= 0x20 and not (byte)'"' and not (byte)'\\') { plain++; }
            target.Write(utf8[..plain]);
            if (plain == utf8.Length) { break; }
            Escape(utf8[plain], target);
            utf8 = utf8[(plain + 1)..];
        }

        Put(target, (byte)'"');
    }

    private static void Value(ref Utf8JsonReader reader, ArrayBufferWriter<byte> target)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                Members(ref reader, target);
                break;
            case JsonTokenType.StartArray:
                Put(target, (byte)'[');
                for (var first = true; reader.Read() && reader.TokenType != JsonTokenType.EndArray; first = false)
                {
                    if (!first) { Put(target, (byte)','); }
                    Value(ref reader, target);
                }

                Put(target, (byte)']');
                break;
            case JsonTokenType.String:
                String(ref reader, target);
                break;
            case JsonTokenType.Number:
                Number(reader.ValueSpan, target);
                break;
            default:
                target.Write(reader.ValueSpan);
                break;
        }
    }

    private static void Members(ref Utf8JsonReader reader, ArrayBufferWriter<byte> target)
    {
        var start = target.WrittenCount;
        Put(target, (byte)'{');
        var members = ArrayPool<(int Start, int KeyEnd, int End)>.Shared.Rent(16);
        try
        {
            var count = 0;
            var sorted = true;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (count > 0) { Put(target, (byte)','); }
                if (count == members.Length)
                {
                    var larger = ArrayPool<(int, int, int)>.Shared.Rent(count * 2);
                    members.AsSpan(0, count).CopyTo(larger);
                    ArrayPool<(int, int, int)>.Shared.Return(members);
                    members = larger;
                }

                var from = target.WrittenCount;
                String(ref reader, target);
                var keyEnd = target.WrittenCount;
                Put(target, (byte)':');
                reader.Read();
                Value(ref reader, target);
                members[count] = (from, keyEnd, target.WrittenCount);
                if (count > 0) { sorted &= Compare(target.WrittenSpan, members[count - 1], members[count]) < 0; }
                count++;
            }

            if (!sorted) { Sort(target, start, members.AsSpan(0, count)); }
            Put(target, (byte)'}');
        }
        finally
        {
            ArrayPool<(int, int, int)>.Shared.Return(members);
        }
    }

    /// <summary>Rewrites an object's members, already canonical in themselves, in the order of their keys.</summary>
    private static void Sort(ArrayBufferWriter<byte> target, int start, Span<(int Start, int KeyEnd, int End)> members)
    {
        // What was written is as long as what is to be written: only the order of the pieces changes, within the same bytes.
        var written = MemoryMarshal.AsMemory(target.WrittenMemory).Span[start..];
        var rented = ArrayPool<byte>.Shared.Rent(written.Length);
        try
        {
            written.CopyTo(rented);
            ReadOnlyMemory<byte> copy = rented.AsMemory(0, written.Length);
            members.Sort((a, b) => Key(copy, start, a).SequenceCompareTo(Key(copy, start, b)));
            var at = 1;
            for (var i = 0; i < members.Length; i++)
            {
                if (i > 0)
                {
                    if (Key(copy, start, members[i - 1]).SequenceEqual(Key(copy, start, members[i]))) { throw new JsonException("A member stands twice in one object."); }
                    written[at++] = (byte)',';
                }

                var piece = copy.Span[(members[i].Start - start)..(members[i].End - start)];
                piece.CopyTo(written[at..]);
                at += piece.Length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private static int Compare(ReadOnlySpan<byte> written, (int Start, int KeyEnd, int End) a, (int Start, int KeyEnd, int End) b) =>
        written[(a.Start + 1)..(a.KeyEnd - 1)].SequenceCompareTo(written[(b.Start + 1)..(b.KeyEnd - 1)]);

    private static ReadOnlySpan<byte> Key(ReadOnlyMemory<byte> copy, int start, (int Start, int KeyEnd, int End) member) =>
        copy.Span.Slice(member.Start - start + 1, member.KeyEnd - member.Start - 2);

    private static void String(ref Utf8JsonReader reader, ArrayBufferWriter<byte> target)
    {
        if (!reader.ValueIsEscaped)
        {
            Put(target, (byte)'"');
            target.Write(reader.ValueSpan);
            Put(target, (byte)'"');
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(reader.ValueSpan.Length);
        try
        {
            Text(buffer.AsSpan(0, reader.CopyString(buffer)), target);
        }
        catch (InvalidOperationException e)
        {
            throw new JsonException("A string is not valid Unicode.", e);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static void Escape(byte c, ArrayBufferWriter<byte> target) => target.Write(c switch
    {
        (byte)'"' => "\\\""u8,
        (byte)'\\' => "\\\\"u8,
        (byte)'\b' => "\\b"u8,
        (byte)'\f' => "\\f"u8,
        (byte)'\n' => "\\n"u8,
        (byte)'\r' => "\\r"u8,
        (byte)'\t' => "\\t"u8,
        _ => Encoding.ASCII.GetBytes($"\\u{(int)c:x4}"),
    });

    private static void Number(ReadOnlySpan<byte> digits, ArrayBufferWriter<byte> target)
    {
        if (digits.IndexOfAny((byte)'.', (byte)'e', (byte)'E') < 0)
        {
            target.Write(digits.SequenceEqual("-0"u8) ? "0"u8 : digits);
            return;
        }

        var negative = digits[0] == (byte)'-';
        if (negative) { digits = digits[1..]; }
        var exponent = 0;
        var e = digits.IndexOfAny((byte)'e', (byte)'E');
        if (e >= 0)
        {
            if (!int.TryParse(digits[(e + 1)..], out exponent) || Math.Abs(exponent) > MaxExponent) { throw new JsonException($"A number has an exponent beyond {MaxExponent}."); }
            digits = digits[..e];
        }

        var point = digits.IndexOf((byte)'.');
        var whole = point < 0 ? digits : digits[..point];
        var fraction = point < 0 ? [] : digits[(point + 1)..];
        var all = Encoding.ASCII.GetString(whole) + Encoding.ASCII.GetString(fraction);
        var place = whole.Length + exponent;
        if (place < 0) { all = new string('0', -place) + all; place = 0; }
        if (place > all.Length) { all = all.PadRight(place, '0'); }
        var before = all[..place].TrimStart('0');
        var after = all[place..].TrimEnd('0');
        if (before.Length == 0) { before = "0"; }
        if (negative && !(before == "0" && after.Length == 0)) { Put(target, (byte)'-'); }
        target.Write(Encoding.ASCII.GetBytes(after.Length == 0 ? before : $"{before}.{after}"));
    }

    private static void Put(ArrayBufferWriter<byte> target, byte value)
    {
        target.GetSpan(1)[0] = value;
        target.Advance(1);
    }
}
