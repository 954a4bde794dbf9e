namespace Platform.GpuKernels.Tokenisation;

/// <summary>Rewrites a text before it is split. Has no state: one instance serves all threads.</summary>
internal interface INormaliser
{
    /// <summary>Reads all of <see cref="TextRewriter.Source"/> (valid UTF-8) and writes valid UTF-8.</summary>
    void Normalise(TextRewriter text);
}

/// <summary>Splits a text into the pieces that the model sees. Has no state: one instance serves all threads.</summary>
internal interface IPreTokeniser
{
    /// <summary>What is done to each piece before it is split; null where pieces are split as they stand.</summary>
    INormaliser? Rewriting => null;

    /// <summary>Whether the rewriting asks where in the original text its piece began (<see cref="TextRewriter.OriginalStart"/>).</summary>
    bool NeedsOriginalStart => false;

    /// <summary>Adds ranges of <paramref name="piece"/> (valid UTF-8), in order and without overlap, cut between characters; what is in none is dropped.</summary>
    void Split(ReadOnlySpan<byte> piece, PieceSink pieces);
}

/// <summary>A vocabulary, and how a piece becomes its tokens. One instance serves all threads.</summary>
internal interface ITokenModel
{
    /// <summary>How many tokens the vocabulary has; ids may have gaps and exceed it.</summary>
    int Count { get; }

    /// <summary>One more than the highest id.</summary>
    int IdLimit { get; }

    /// <summary>The id of a token as the file spells it.</summary>
    bool TryGetId(ReadOnlySpan<byte> token, out int id);

    /// <summary>The UTF-8 of a token as the file spells it; false where no token has this id.</summary>
    bool TryGetToken(int id, out ReadOnlySpan<byte> token);

    /// <summary>What one thread tokenises with: scratch and cache of its own.</summary>
    IPieceTokeniser NewPieceTokeniser();
}

/// <summary>
/// Turns bytes into tokens; used by one thread at a time. A model gives one for normalised pieces. A fused encoder is one for whole texts: normaliser,
/// pre-tokeniser and model in one pass, for combinations where that is much faster; it gives the same ids, and no offsets.
/// </summary>
internal interface IPieceTokeniser
{
    /// <summary>Adds the tokens of <paramref name="piece"/> (valid UTF-8), with their byte ranges within it where <see cref="TokenSink.WantsOffsets"/>.</summary>
    void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens);
}

/// <summary>Turns the tokens' spellings into text, step by step. Has no state: one instance serves all threads.</summary>
internal interface IDecoder
{
    /// <summary>Replaces the list's parts; what is left in the end is joined. A part need not be valid UTF-8 before that.</summary>
    void Decode(List<byte[]> parts);
}
