using System.Runtime.CompilerServices;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>What merging begins with: the tokens of the 256 bytes, or those of single characters, which not every character has. One instance serves all threads.</summary>
internal sealed class BaseTokens
{
    /// <summary>Of a character that is no token.</summary>
    public const int None = -1;

    private readonly int[] bytes = [];
    private readonly CharacterMap<int>? characters;

    /// <param name="bytes">The tokens of the 256 bytes, by value.</param>
    public BaseTokens(int[] bytes)
    {
        this.bytes = bytes;
        All = [.. bytes.Select((id, value) => (id, new[] { (byte)value }))];
    }

    /// <param name="tokens">Of these those that are single characters.</param>
    public BaseTokens(IEnumerable<KeyValuePair<byte[], int>> tokens)
    {
        All = [.. tokens.Where(token => token.Key.Length > 0 && Utf8Text.SizeAt(token.Key, 0) == token.Key.Length).Select(token => (token.Value, token.Key))];
        characters = new(All.Select(each => KeyValuePair.Create(Utf8Text.ScalarAt(each.Text, 0, out _), each.Id)), None);
    }

    /// <summary>Each with its bytes.</summary>
    public IReadOnlyList<(int Id, byte[] Text)> All { get; }

    /// <summary>The token of a character by itself, or <see cref="None"/>; only where characters are merged.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int OfCharacter(uint scalar) => characters![scalar];

    /// <summary>Writes the tokens of a text that has no other characters than these.</summary>
    /// <returns>How many.</returns>
    public int Spell(ReadOnlySpan<byte> text, Span<int> symbols)
    {
        var count = 0;
        for (var at = 0; at < text.Length;)
        {
            var size = 1;
            symbols[count++] = characters is null ? bytes[text[at]] : characters[Utf8Text.ScalarAt(text, at, out size)];
            at += size;
        }

        return count;
    }
}
