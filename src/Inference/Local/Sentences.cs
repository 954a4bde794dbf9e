using System.Collections.Frozen;

namespace Platform.Inference.Local;

/// <param name="Text">Trimmed, line ends and runs of white space turned into one space.</param>
/// <param name="Start">In the text it was cut from.</param>
internal readonly record struct Sentence(string Text, int Start);

/// <summary>Cuts text into sentences: European languages by stop, abbreviation and what follows, Chinese and Japanese by their own stops.</summary>
internal static class Sentences
{
    /// <summary>A shorter line is taken as a heading, an address or a list entry, not as prose that was wrapped.</summary>
    private const int WrappedLine = 50;

    private static readonly FrozenSet<string> Abbreviations = Data.Lines("abbreviations.txt").SelectMany(line => line.Split(' ')).ToFrozenSet(StringComparer.Ordinal);

    public static List<Sentence> Of(string text)
    {
        var sentences = new List<Sentence>();
        var start = 0;
        var lineStart = 0;
        for (var i = 0; i < text.Length; i++)
        {
            var end = -1;
            var c = text[i];
            if (c is '\n' or '\r' or '\u2029')
            {
                if (EndsAtLineEnd(text, lineStart, i)) { end = i; }

                lineStart = i + 1;
            }
            else if (c is '。' or '！' or '？' or '｡')
            {
                end = AfterClosing(text, i + 1);
            }
            else if (c is '.' or '!' or '?' or '…' && IsEnd(text, start, i, out var after))
            {
                end = after;
            }
            else if (i - start >= LocalAgentLimits.SentenceLength && char.IsWhiteSpace(c))
            {
                end = i;
            }
            else if (i - start >= 2 * LocalAgentLimits.SentenceLength && !char.IsLowSurrogate(c))
            {
                end = i;
            }

            if (end < 0) { continue; }

            Add(text, start, end, sentences);
            start = end;
            i = Math.Max(i, end - 1);
        }

        Add(text, start, text.Length, sentences);
        return sentences;
    }

    private static void Add(string text, int start, int end, List<Sentence> sentences)
    {
        while (start < end && (char.IsWhiteSpace(text[start]) || text[start] is '#' or '*' or '•')) { start++; }

        if (start == end) { return; }

        var words = text[start..end].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length > 0) { sentences.Add(new Sentence(string.Join(' ', words), start)); }
    }

    private static bool EndsAtLineEnd(string text, int lineStart, int lineEnd)
    {
        if (lineEnd - lineStart < WrappedLine) { return true; }

        var next = lineEnd + 1;
        while (next < text.Length && text[next] is ' ' or '\t' or '\r') { next++; }

        return next >= text.Length || text[next] is '\n' or '-' or '*' or '•' or '#' or '>' or '|';
    }

    private static bool IsEnd(string text, int start, int stop, out int after)
    {
        // Several stops in a row are one: "?!", "...".
        var last = stop;
        while (last + 1 < text.Length && text[last + 1] is '.' or '!' or '?' or '…') { last++; }

        after = AfterClosing(text, last + 1);
        if (after < text.Length && !char.IsWhiteSpace(text[after])) { return false; }

        var next = after;
        while (next < text.Length && (char.IsWhiteSpace(text[next]) || text[next] is '"' or '\'' or '(' or '«' or '„' or '“' or '‘')) { next++; }

        if (next < text.Length && char.IsLower(text[next])) { return false; }

        if (text[stop] != '.' || last > stop) { return true; }

        var wordStart = stop;
        while (wordStart > start && !char.IsWhiteSpace(text[wordStart - 1]) && text[wordStart - 1] is not ('(' or '"' or '\'')) { wordStart--; }

        var word = Words.Fold(text.AsSpan(wordStart, stop - wordStart));
        if (word.Length == 0) { return false; }

        // Initials (J. Smith) and ordinals before a name of a month (3. März, 3. Januar).
        var initial = word.Length == 1 && char.IsLetter(word[0]);
        var ordinal = word.Length <= 2 && Words.IsNumber(word) && next < text.Length && (wordStart == start || Dates.StartsWithMonth(text.AsSpan(next)));
        return next >= text.Length || !(initial || ordinal || Abbreviations.Contains(word));
    }

    private static int AfterClosing(string text, int at)
    {
        while (at < text.Length && text[at] is '"' or '\'' or ')' or ']' or '»' or '”' or '’' or '」' or '』' or '）') { at++; }

        return at;
    }
}
