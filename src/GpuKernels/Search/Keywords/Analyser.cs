using System.Globalization;
using System.Text;

namespace Platform.GpuKernels.Search.Keywords;

/// <summary>Whether words that differ in their endings only are the same term.</summary>
public enum Stemming
{
    None = 0,
}

/// <summary>What terms are for.</summary>
internal enum TermsFor
{
    Index,
    Query,
}

/// <summary>Takes a term of a text; the span is good until it returns.</summary>
internal delegate void TermFound(ReadOnlySpan<char> term);

/// <summary>Cuts text into terms.</summary>
internal sealed class Analyser(Stemming stemming, bool foldAccents)
{
    /// <summary>Changes with every change of what terms a text gives.</summary>
    public ulong Version => (1UL << 16) | ((ulong)stemming << 8) | (foldAccents ? 1UL : 0);

    public void Analyse(string text, TermsFor purpose, TermFound found)
    {
        _ = purpose;
        Span<char> term = stackalloc char[SearchLimits.TermLength];
        var length = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            if (Rune.IsLetterOrDigit(rune) || Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark)
            {
                if (length + 2 <= term.Length) { length += Rune.ToLowerInvariant(rune).EncodeToUtf16(term[length..]); }
            }
            else if (length > 0)
            {
                found(term[..length]);
                length = 0;
            }
        }

        if (length > 0) { found(term[..length]); }
    }
}
