using System.Buffers;
using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>A token that is found in the text before the model sees it.</summary>
internal sealed record AddedToken(string Content, int Id, bool Special, bool SingleWord, bool StripsLeft, bool StripsRight, bool Normalised);

/// <summary>
/// The added tokens of a file. Those that are not normalised are sought in the text as it is, the others (spelled as the normaliser leaves them) in the
/// normalised text; the leftmost match wins, then the longest.
/// </summary>
internal sealed class AddedTokens
{
    /// <summary>Files in use have some thousand (reserved ones); each is a path in a tree of bytes.</summary>
    public const int MaximalTokens = 100_000;

    /// <summary>Longest spelling in bytes. A match is sought from every possible first byte, so this bounds the work per byte of text.</summary>
    public const int MaximalTokenBytes = 1024;

    private readonly Dictionary<string, AddedToken> byContent = new(StringComparer.Ordinal);
    private readonly Dictionary<int, AddedToken> byId = [];
    private readonly HashSet<string> special = new(StringComparer.Ordinal);
    private readonly Dictionary<int, byte[]> spellings = [];

    public AddedTokens(StageOptions file, ITokenModel model, Func<string, byte[]> normalise)
    {
        var list = file.Member("added_tokens");
        if (!list.IsNull)
        {
            foreach (var item in file.Items("added_tokens")) { Add(item, model); }
        }

        Raw = new TokenTree(byContent.Values.Where(token => !token.Normalised).Select(token => (Encoding.UTF8.GetBytes(token.Content), token)));
        Normalised = new TokenTree(byContent.Values.Where(token => token.Normalised).Select(token => (normalise(token.Content), token)));
        foreach (var (id, token) in byId) { spellings[id] = Encoding.UTF8.GetBytes(token.Content); }
    }

    public TokenTree Raw { get; }

    public TokenTree Normalised { get; }

    /// <summary>One more than the highest id.</summary>
    public int IdLimit => byId.Count == 0 ? 0 : byId.Keys.Max() + 1;

    public bool IsSpecial(int id) => byId.TryGetValue(id, out var token) && special.Contains(token.Content);

    public bool TryGetId(string content, out int id)
    {
        var found = byContent.TryGetValue(content, out var token);
        id = found ? token!.Id : -1;
        return found;
    }

    public bool TryGetToken(int id, out ReadOnlySpan<byte> token)
    {
        var found = spellings.TryGetValue(id, out var bytes);
        token = bytes;
        return found;
    }

    /// <summary>The id is the model's where it knows the token, else the next free one after the model's and those added before, as the reference has it.</summary>
    private void Add(StageOptions item, ITokenModel model)
    {
        item.Knows("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special");
        var content = item.Text("content");
        var bytes = Encoding.UTF8.GetBytes(content);
        if (bytes.Length > MaximalTokenBytes) { throw StageOptions.Wrong(item.Place, $"has {bytes.Length} bytes; the limit is {MaximalTokenBytes}"); }

        if (byContent.Count >= MaximalTokens) { throw StageOptions.Wrong("added_tokens", $"are more than {MaximalTokens}"); }

        if (bytes.Length == 0) { return; }

        var id = byContent.TryGetValue(content, out var known) ? known.Id
            : model.TryGetId(bytes, out var ofModel) ? ofModel
            : byContent.Count == 0 ? model.Count
            : Math.Max(model.Count, byContent.Values.Max(token => token.Id) + 1);
        var added = new AddedToken(
            content,
            id,
            item.Flag("special"),
            item.Flag("single_word"),
            item.Flag("lstrip"),
            item.Flag("rstrip"),
            item.Flag("normalized"));
        byContent[content] = added;
        byId[id] = added;
        if (added.Special) { special.Add(content); }
    }
}

/// <summary>Finds added tokens in a text.</summary>
internal sealed class TokenTree
{
    private readonly SearchValues<byte> firstBytes;
    private readonly List<Node> nodes = [new()];

    private sealed class Node
    {
        public Dictionary<byte, int> Next { get; } = [];

        public AddedToken? Token { get; set; }
    }

    public TokenTree(IEnumerable<(byte[] Spelling, AddedToken Token)> tokens)
    {
        foreach (var (spelling, token) in tokens)
        {
            if (spelling.Length == 0) { continue; }

            var at = 0;
            foreach (var value in spelling)
            {
                if (!nodes[at].Next.TryGetValue(value, out var next))
                {
                    next = nodes.Count;
                    nodes.Add(new());
                    nodes[at].Next.Add(value, next);
                }

                at = next;
            }

            nodes[at].Token ??= token;
        }

        firstBytes = SearchValues.Create([.. nodes[0].Next.Keys]);
    }

    public bool IsEmpty => nodes.Count == 1;

    /// <summary>The bytes with which a match could begin.</summary>
    public IReadOnlyCollection<byte> FirstBytes => nodes[0].Next.Keys;

    /// <summary>Whether the text has a byte with which a match could begin.</summary>
    public bool MayMatch(ReadOnlySpan<byte> text) => !IsEmpty && text.ContainsAny(firstBytes);

    /// <summary>
    /// The next match at or after <paramref name="from"/>. White space that the token takes with it is in its range, but not before
    /// <paramref name="notBefore"/>, the end of the match before; its own spelling may have been taken by that as white space.
    /// </summary>
    public bool TryFind(ReadOnlySpan<byte> text, int from, int notBefore, out Match match)
    {
        while (from < text.Length)
        {
            var offset = text[from..].IndexOfAny(firstBytes);
            if (offset < 0) { break; }

            var start = from + offset;
            if (Longest(text, start) is not var (token, end))
            {
                from = start + 1;
                continue;
            }

            from = end;
            if (token.SingleWord && ((start > 0 && IsWord(Utf8Text.ScalarBefore(text, start, out _))) || (end < text.Length && IsWord(Utf8Text.ScalarAt(text, end, out _))))) { continue; }

            // The next match is sought from the end of this one's own spelling, even where it takes white space after that with it.
            match = new(token.StripsLeft ? WithSpacesBefore(text, start, notBefore) : start, token.StripsRight ? WithSpacesAfter(text, end) : end, end, token);
            return true;
        }

        match = default;
        return false;
    }

    private (AddedToken Token, int End)? Longest(ReadOnlySpan<byte> text, int start)
    {
        (AddedToken, int)? longest = null;
        var node = nodes[0];
        for (var at = start; at < text.Length && node.Next.TryGetValue(text[at], out var next); at++)
        {
            node = nodes[next];
            if (node.Token is { } token) { longest = (token, at + 1); }
        }

        return longest;
    }

    private static bool IsWord(uint scalar) => Characters.Is(scalar, CharacterSets.Word);

    private static int WithSpacesBefore(ReadOnlySpan<byte> text, int start, int notBefore)
    {
        while (start > notBefore && Characters.IsWhiteSpace(Utf8Text.ScalarBefore(text, start, out var size))) { start -= size; }

        return start;
    }

    private static int WithSpacesAfter(ReadOnlySpan<byte> text, int end)
    {
        while (end < text.Length && Characters.IsWhiteSpace(Utf8Text.ScalarAt(text, end, out var size))) { end += size; }

        return end;
    }

    /// <summary>A token in a text, with the white space that it takes with it, and where the search goes on.</summary>
    internal readonly record struct Match(int Start, int End, int Next, AddedToken Token);
}
