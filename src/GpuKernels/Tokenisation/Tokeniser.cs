using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>
/// A tokeniser as a Hugging Face tokenizer.json describes it: the ids, offsets and masks are those of Hugging Face's tokenizers. It is immutable and serves all threads.
/// Texts are UTF-8; invalid bytes count as U+FFFD. A text may have <see cref="TextLimits.TextBytes"/> bytes; a longer one is an <see cref="ArgumentException"/>.
/// </summary>
/// <seealso href="https://huggingface.co/docs/tokenizers"/>
public sealed class Tokeniser
{
    /// <summary>The largest file in use (Gemma's) has some 35 MB.</summary>
    public const int MaximalFileBytes = 256 * 1024 * 1024;

    /// <summary>The stages nest a few levels deep; JSON that is deeper is not a tokeniser.</summary>
    private const int MaximalDepth = 32;

    private readonly TokeniserPipeline pipeline;
    private readonly PostProcessor postProcessor;
    private readonly IReadOnlyList<IDecoder>? decoders;
    private readonly ConcurrentBag<TokeniserWorker> workers = [];
    private readonly ConcurrentBag<TokenSink> sinks = [];

    private Tokeniser(StageOptions file)
    {
        file.Knows("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model");
        var model = TokeniserStages.Model(file.Member("model"), file);
        var normalisers = TokeniserStages.Normaliser(file.Member("normalizer"));
        var preTokenisers = TokeniserStages.PreTokenisersOf(file);
        var added = new AddedTokens(file, model, content => Normalised(content, normalisers));

        // Added tokens are sought in what normalisers make; without those, that is the text.
        var mayFuse = added.Normalised.IsEmpty || normalisers.Count == 0;
        pipeline = new(model, normalisers, preTokenisers, added, mayFuse ? TokeniserStages.Fused(model, normalisers, preTokenisers) : null);
        postProcessor = PostProcessor.Read(file.Member("post_processor"));
        decoders = TokeniserStages.Decoder(file.Member("decoder"));
        Defaults = new(AddSpecialTokens: true, ReadTruncation(file.Member("truncation")), ReadPadding(file.Member("padding")));
    }

    /// <summary>What the file asks for between text and tokens; a device does the same where it can.</summary>
    internal TokeniserPipeline Pipeline => pipeline;

    /// <summary>What the file asks for.</summary>
    public EncodeOptions Defaults { get; }

    /// <summary>One more than the highest id: how many rows an embedding matrix must have.</summary>
    public int IdLimit => Math.Max(pipeline.Model.IdLimit, pipeline.Added.IdLimit);

    /// <summary>Reads a file.</summary>
    /// <exception cref="TokeniserFileException">It is not a tokenizer.json, or asks for what is not supported.</exception>
    public static Tokeniser Load(string path)
    {
        var file = new FileInfo(path);
        return file.Exists && file.Length > MaximalFileBytes
            ? throw new TokeniserFileException($"{path} has {file.Length} bytes; a tokenizer.json may have {MaximalFileBytes}")
            : Load(File.ReadAllBytes(path));
    }

    /// <summary>Reads the content of a file.</summary>
    /// <exception cref="TokeniserFileException">It is not a tokenizer.json, or asks for what is not supported.</exception>
    public static Tokeniser Load(ReadOnlyMemory<byte> tokenizerJson)
    {
        if (tokenizerJson.Length > MaximalFileBytes) { throw new TokeniserFileException($"A tokenizer.json may have {MaximalFileBytes} bytes, not {tokenizerJson.Length}"); }

        try
        {
            using var json = JsonDocument.Parse(tokenizerJson, new JsonDocumentOptions { MaxDepth = MaximalDepth });
            return json.RootElement.ValueKind == JsonValueKind.Object ? new(new StageOptions("", json.RootElement)) : throw new TokeniserFileException("tokenizer.json: must be an object");
        }
        catch (JsonException wrong)
        {
            throw new TokeniserFileException($"tokenizer.json: is not JSON: {wrong.Message}", wrong);
        }
    }

    /// <summary>The id of a token as the file spells it, or null.</summary>
    public int? IdOf(string token)
    {
        if (pipeline.Added.TryGetId(token, out var id)) { return id; }

        return pipeline.Model.TryGetId(Encoding.UTF8.GetBytes(token), out id) ? id : null;
    }

    /// <summary>How the file spells a token, or null where no token has this id.</summary>
    public string? TokenOf(int id) => TrySpelling(id, out var token) ? Encoding.UTF8.GetString(token) : null;

    /// <summary>A text, or two as a pair, with offsets and masks.</summary>
    /// <param name="options">null: <see cref="Defaults"/>.</param>
    /// <exception cref="ArgumentException">A text is too long, or the truncation cannot reach its length with these texts.</exception>
    public TokenisedText Encode(ReadOnlySpan<byte> text, ReadOnlySpan<byte> pair, EncodeOptions? options = null)
    {
        var whole = Whole(text, pair, isPair: true, options ?? Defaults);
        return PaddedTo(whole.Count, whole, (options ?? Defaults).Padding).Result();
    }

    /// <inheritdoc cref="Encode(ReadOnlySpan{byte}, ReadOnlySpan{byte}, EncodeOptions?)"/>
    public TokenisedText Encode(ReadOnlySpan<byte> text, EncodeOptions? options = null)
    {
        var whole = Whole(text, [], isPair: false, options ?? Defaults);
        return PaddedTo(whole.Count, whole, (options ?? Defaults).Padding).Result();
    }

    /// <summary>Many texts, on all cores, with offsets and masks, padded to the longest where padding is asked for.</summary>
    public IReadOnlyList<TokenisedText> EncodeAll(IReadOnlyList<ReadOnlyMemory<byte>> texts, EncodeOptions? options = null)
    {
        var chosen = options ?? Defaults;
        var all = new SequenceTokens[texts.Count];
        Parallel.For(0, texts.Count, i => all[i] = Whole(texts[i].Span, [], isPair: false, chosen));
        var longest = all.Length == 0 ? 0 : all.Max(each => each.Count);
        return [.. all.Select(each => PaddedTo(longest, each, chosen.Padding).Result())];
    }

    /// <summary>Only the ids of many texts, laid one after another without padding: the way into an encoder. Beyond the room that is kept in <paramref name="into"/>, nothing is made for each text.</summary>
    /// <param name="threads">At most this many; 0: one for each core.</param>
    public void Pack(IReadOnlyList<ReadOnlyMemory<byte>> texts, PackedTokens into, EncodeOptions? options = null, int threads = 0)
    {
        var chosen = options ?? Defaults;
        var packing = new Packing(this, texts, into, chosen, threads > 0 ? threads : Environment.ProcessorCount);
        packing.Run();
    }

    /// <summary>The text of tokens. Ids that no token has are left out.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        var parts = new List<byte[]>(ids.Length);
        foreach (var id in ids)
        {
            if (TrySpelling(id, out var token) && !(skipSpecialTokens && pipeline.Added.IsSpecial(id))) { parts.Add(token.ToArray()); }
        }

        if (decoders is null) { return string.Join(' ', parts.Select(Encoding.UTF8.GetString)); }

        foreach (var decoder in decoders) { decoder.Decode(parts); }

        return Encoding.UTF8.GetString([.. parts.SelectMany(part => part)]);
    }

    private static byte[] Normalised(string content, IReadOnlyList<INormaliser> normalisers)
    {
        var working = new WorkingText();
        working.Begin(Encoding.UTF8.GetBytes(content), 0, aligned: false);
        foreach (var normaliser in normalisers) { working.Normalise(normaliser); }

        return working.Bytes.ToArray();
    }

    private static void Check(ReadOnlySpan<byte> text)
    {
        if (text.Length > TextLimits.TextBytes) { throw new ArgumentException($"A text may have {TextLimits.TextBytes} bytes; this one has {text.Length}.", nameof(text)); }
    }

    private static Truncation? ReadTruncation(StageOptions options)
    {
        if (options.IsNull) { return null; }

        var strategy = options.Text("strategy", "LongestFirst") switch
        {
            "LongestFirst" => TruncationStrategy.LongestFirst,
            "OnlyFirst" => TruncationStrategy.OnlyFirst,
            "OnlySecond" => TruncationStrategy.OnlySecond,
            var other => throw StageOptions.Wrong($"{options.Place}.strategy", $"'{other}' is not supported"),
        };
        return new(options.Number("max_length"), strategy, options.Number("stride", 0), ReadSide(options));
    }

    private static Padding? ReadPadding(StageOptions options)
    {
        if (options.IsNull) { return null; }

        var strategy = options.Member("strategy");
        int? length = strategy.Element.ValueKind == JsonValueKind.String && strategy.AsText() == "BatchLongest" ? null : strategy.Number("Fixed");
        var multiple = options.Member("pad_to_multiple_of");
        return new(length, options.Number("pad_id", 0), options.Number("pad_type_id", 0), ReadSide(options), multiple.IsNull ? 0 : multiple.AsNumber());
    }

    private static Side ReadSide(StageOptions options) => options.Text("direction", "Right") switch
    {
        "Right" => Side.Right,
        "Left" => Side.Left,
        var other => throw StageOptions.Wrong($"{options.Place}.direction", $"'{other}' is neither Left nor Right"),
    };

    private static SequenceTokens PaddedTo(int longest, SequenceTokens whole, Padding? padding)
    {
        if (padding is null) { return whole; }

        var length = padding.Length ?? longest;
        if (padding.MultipleOf > 0 && length % padding.MultipleOf > 0) { length += padding.MultipleOf - (length % padding.MultipleOf); }

        return whole.Padded(length, padding);
    }

    private bool TrySpelling(int id, out ReadOnlySpan<byte> token) => pipeline.Added.TryGetToken(id, out token) || pipeline.Model.TryGetToken(id, out token);

    internal TokeniserWorker Borrow() => workers.TryTake(out var worker) ? worker : new(pipeline);

    internal void GiveBack(TokeniserWorker worker) => workers.Add(worker);

    internal TokenSink BorrowSink()
    {
        var sink = sinks.TryTake(out var kept) ? kept : new();
        sink.Clear(wantsOffsets: false);
        return sink;
    }

    internal void GiveBack(TokenSink sink) => sinks.Add(sink);

    /// <summary>The ids of one text, with its special tokens, cut as asked for.</summary>
    internal void Ids(TokeniserWorker worker, ReadOnlySpan<byte> text, EncodeOptions options, TokenSink into)
    {
        Check(text);
        worker.Tokenise(Utf8.IsValid(text) ? text : new RepairedText(text).Bytes, offsets: false);
        var ids = worker.Tokens.Ids;
        if (options.Truncation is { } truncation && Room(truncation, options, isPair: false) is var room && ids.Length > room)
        {
            if (truncation.Strategy == TruncationStrategy.OnlySecond) { throw NoSecond(); }

            ids = truncation.Side == Side.Right ? ids[..room] : ids[^room..];
        }

        foreach (var part in postProcessor.Single)
        {
            if (part.Sequence == 0) { into.AddAll(ids); }
            else if (options.AddSpecialTokens) { into.AddAll(part.Ids); }
        }
    }

    private int Room(Truncation truncation, EncodeOptions options, bool isPair)
    {
        var special = options.AddSpecialTokens ? postProcessor.SpecialTokens(isPair) : 0;
        var room = truncation.MaximalTokens - special;
        return room >= 0 && (truncation.Stride < room || truncation.Stride == 0)
            ? room
            : throw new ArgumentException($"A truncation to {truncation.MaximalTokens} tokens leaves no room beside {special} special tokens and a stride of {truncation.Stride}.", nameof(truncation));
    }

    private static ArgumentException NoSecond() => new("The truncation cuts the second text of a pair, and there is none.", "options");

    private SequenceTokens Whole(ReadOnlySpan<byte> text, ReadOnlySpan<byte> pair, bool isPair, EncodeOptions options)
    {
        var first = Sequence(text, typeId: 0);
        var second = isPair ? Sequence(pair, typeId: 1) : null;
        if (options.Truncation is { } truncation) { (first, second) = Truncated(first, second, truncation, Room(truncation, options, isPair)); }

        SequenceTokens? whole = null;
        foreach (var part in isPair ? postProcessor.Pair : postProcessor.Single)
        {
            if (part.Sequence < 0 && !options.AddSpecialTokens) { continue; }

            var next = part.Sequence < 0 ? SequenceTokens.OfSpecial(part) : part.Sequence == 0 ? first : second ?? SequenceTokens.Empty;
            if (part.Sequence >= 0) { Array.Fill(next.TypeIds, part.TypeId); }

            whole = whole is null ? next : whole.Joined(next);
        }

        return whole ?? SequenceTokens.Empty;
    }

    private SequenceTokens Sequence(ReadOnlySpan<byte> text, int typeId)
    {
        Check(text);
        var repaired = Utf8.IsValid(text) ? null : new RepairedText(text);
        var valid = repaired is null ? text : repaired.Bytes;
        var worker = Borrow();
        worker.Tokenise(valid, offsets: true);
        var tokens = worker.Tokens;
        var bytes = new (int Start, int End)[tokens.Count];
        for (var i = 0; i < bytes.Length; i++) { bytes[i] = (tokens.Starts[i], tokens.Ends[i]); }

        var made = new SequenceTokens(
            tokens.Ids.ToArray(),
            SequenceTokens.Filled(bytes.Length, typeId),
            bytes,
            Scalars(valid, bytes),
            Words(worker),
            new byte[bytes.Length],
            SequenceTokens.Filled(bytes.Length, (byte)1));
        GiveBack(worker);
        if (postProcessor.TrimsOffsets) { made.TrimOffsets(id => !pipeline.Added.TryGetToken(id, out _) && pipeline.Model.TryGetToken(id, out var token) ? token : [], postProcessor.KeepsFirstSpace, valid); }

        for (var i = 0; i < bytes.Length && repaired is not null; i++) { bytes[i] = (repaired.Original(bytes[i].Start), repaired.Original(bytes[i].End)); }

        return made;
    }

    private static int[] Words(TokeniserWorker worker)
    {
        var words = new int[worker.Tokens.Count];
        var at = 0;
        for (var word = 0; word < worker.WordEnds.Count; word++)
        {
            words.AsSpan(at..worker.WordEnds[word]).Fill(word);
            at = worker.WordEnds[word];
        }

        return words;
    }

    /// <summary>Counts the characters before each offset.</summary>
    private static (int Start, int End)[] Scalars(ReadOnlySpan<byte> text, (int Start, int End)[] bytes)
    {
        var scalars = new (int Start, int End)[bytes.Length];
        var (at, count) = (0, 0);
        for (var i = 0; i < bytes.Length; i++) { scalars[i] = (Count(text, bytes[i].Start, ref at, ref count), Count(text, bytes[i].End, ref at, ref count)); }

        return scalars;
    }

    private static int Count(ReadOnlySpan<byte> text, int to, ref int at, ref int count)
    {
        for (; at < to; at++) { count += (text[at] & 0xC0) != 0x80 ? 1 : 0; }

        for (; at > to; at--) { count -= (text[at - 1] & 0xC0) != 0x80 ? 1 : 0; }

        return count;
    }

    private static (SequenceTokens First, SequenceTokens? Second) Truncated(SequenceTokens first, SequenceTokens? second, Truncation truncation, int room)
    {
        var excess = first.Count + (second?.Count ?? 0) - room;
        if (excess <= 0) { return (first, second); }

        SequenceTokens Cut(SequenceTokens sequence, int count) => sequence.Truncated(count, truncation.Stride, truncation.Side);
        if (room == 0) { return (Cut(first, 0), second is null ? null : Cut(second, 0)); }

        switch (truncation.Strategy)
        {
            case TruncationStrategy.LongestFirst when second is null:
                return (Cut(first, room), null);
            case TruncationStrategy.LongestFirst:
                var shorter = Math.Min(first.Count, second.Count);
                var longer = Math.Max(shorter, room - shorter);
                if (shorter + longer > room) { (shorter, longer) = (room / 2, (room / 2) + (room % 2)); }

                return first.Count > second.Count ? (Cut(first, longer), Cut(second, shorter)) : (Cut(first, shorter), Cut(second, longer));
            case TruncationStrategy.OnlyFirst:
                return first.Count > excess ? (Cut(first, first.Count - excess), second) : throw TooShort();
            case TruncationStrategy.OnlySecond:
                if (second is null) { throw NoSecond(); }

                return second.Count > excess ? (first, Cut(second, second.Count - excess)) : throw TooShort();
        }

        throw new ArgumentException($"There is no truncation strategy {truncation.Strategy}.", nameof(truncation));
    }

    private static ArgumentException TooShort() => new("The text that the truncation cuts is too short to reach the length.", "options");
}
