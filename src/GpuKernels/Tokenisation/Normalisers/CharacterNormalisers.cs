using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>A normaliser that looks at one character at a time, and keeps those of some sets as they are.</summary>
internal abstract class CharacterNormaliser(CharacterSets any, bool kept) : INormaliser
{
    public void Normalise(TextRewriter text)
    {
        var source = text.Source;
        var from = 0;
        for (var at = 0; at < source.Length;)
        {
            var scalar = Utf8Text.ScalarAt(source, at, out var size);
            if (Characters.Is(scalar, any) != kept)
            {
                if (at > from) { text.Keep(at - from); }

                Change(text, scalar, size);
                from = at + size;
            }

            at += size;
        }

        if (source.Length > from) { text.Keep(source.Length - from); }
    }

    /// <summary>Rewrites the next character, which has <paramref name="size"/> bytes.</summary>
    protected abstract void Change(TextRewriter text, uint scalar, int size);
}

/// <summary>Removes the characters of some sets: StripAccents, and BERT's non-spacing marks.</summary>
internal sealed class RemovingNormaliser(CharacterSets any) : CharacterNormaliser(any, kept: false)
{
    public CharacterSets Removed { get; } = any;

    protected override void Change(TextRewriter text, uint scalar, int size) => text.Skip(size);
}

/// <summary>Lower case, each character by itself.</summary>
internal sealed class LowercaseNormaliser() : CharacterNormaliser(CharacterSets.InertLower, kept: true)
{
    protected override void Change(TextRewriter text, uint scalar, int size)
    {
        var lower = Characters.LowerOf(scalar);
        text.Put(new Rune(lower[0]), size);
        foreach (var more in lower[1..]) { text.Insert(new Rune(more)); }
    }
}

/// <summary>BertNormalizer's clean_text: control characters go, white space becomes a space.</summary>
internal sealed class CleaningNormaliser() : CharacterNormaliser(CharacterSets.Cleaned | CharacterSets.WhiteSpace, kept: false)
{
    protected override void Change(TextRewriter text, uint scalar, int size)
    {
        if (Characters.Is(scalar, CharacterSets.Cleaned)) { text.Skip(size); }
        else { text.Put(new Rune(' '), size); }
    }
}

/// <summary>BertNormalizer's handle_chinese_chars: a space on both sides of each.</summary>
internal sealed class ChineseNormaliser() : CharacterNormaliser(CharacterSets.None, kept: true)
{
    protected override void Change(TextRewriter text, uint scalar, int size)
    {
        if (!Characters.IsChinese(scalar))
        {
            text.Keep(size);
            return;
        }

        text.Put(new Rune(' '), 0);
        text.Put(new Rune(scalar), size);
        text.Insert(new Rune(' '));
    }
}

/// <summary>Nmt: SentencePiece's cleaning for machine translation.</summary>
internal sealed class NmtNormaliser() : CharacterNormaliser(CharacterSets.None, kept: true)
{
    protected override void Change(TextRewriter text, uint scalar, int size)
    {
        switch (scalar)
        {
            case (>= 0x01 and <= 0x08) or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F or 0x8F or 0x9F:
                text.Skip(size);
                break;
            case 0x09 or 0x0A or 0x0C or 0x0D or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD:
                text.Put(new Rune(' '), size);
                break;
            default:
                text.Keep(size);
                break;
        }
    }
}

/// <summary>Strip: white space at the ends goes.</summary>
internal sealed class StripNormaliser(bool left, bool right) : INormaliser
{
    public void Normalise(TextRewriter text)
    {
        var source = text.Source;
        var start = 0;
        while (left && start < source.Length && Characters.IsWhiteSpace(Utf8Text.ScalarAt(source, start, out var size))) { start += size; }

        var end = source.Length;
        while (right && end > start && Characters.IsWhiteSpace(Utf8Text.ScalarBefore(source, end, out var size))) { end -= size; }

        text.Skip(start);
        text.Keep(end - start);
    }
}

/// <summary>Prepend: a text before one that is not empty.</summary>
internal sealed class PrependNormaliser(string prefix) : INormaliser
{
    private readonly Rune[] characters = [.. prefix.EnumerateRunes()];

    public byte[] Prefix { get; } = Encoding.UTF8.GetBytes(prefix);

    public void Normalise(TextRewriter text)
    {
        if (text.Source.IsEmpty) { return; }

        foreach (var character in characters) { text.Put(character, 0); }

        text.Keep(text.Source.Length);
    }
}
