namespace Platform.GpuKernels.Embedding.Batching;

/// <summary>A request as the schedule sees it.</summary>
/// <param name="Lengths">Tokens of each of its texts that are in no batch yet; one at least.</param>
/// <param name="Since">When it came, on the clock of the call.</param>
internal readonly record struct WaitingRequest(ReadOnlyMemory<int> Lengths, TimeSpan Since);

/// <summary>So many of a request's next texts.</summary>
/// <param name="Request">Its place in the queue, from 0.</param>
internal readonly record struct BatchPart(int Request, int Count);

/// <param name="Parts">What runs now, in this order; none: nothing yet.</param>
/// <param name="Due">When to ask again if nobody comes until then; null where something runs or nothing waits.</param>
internal readonly record struct BatchPlan(IReadOnlyList<BatchPart> Parts, TimeSpan? Due);

/// <summary>
/// What runs next. Requests take turns: each puts texts of up to <see cref="TurnTokens"/> tokens into the batch and goes to the end of the queue if it has more, so that whoever comes
/// waits for one turn of each that was there before, whatever their size. A text that does not fit ends the batch rather than being passed over: nothing waits for ever.
/// </summary>
internal readonly record struct BatchSchedule(int MaxTokens, int MaxTexts, int TurnTokens, TimeSpan MaxDelay)
{
    /// <param name="queue">In the order of their turns; read once, and no further than the batch goes.</param>
    public BatchPlan Next(IEnumerable<WaitingRequest> queue, TimeSpan now)
    {
        var parts = new List<BatchPart>();
        var again = new Queue<(int Request, ReadOnlyMemory<int> Lengths)>();
        var (tokens, texts, oldest, place) = (0L, 0, TimeSpan.MaxValue, 0);
        foreach (var request in queue)
        {
            oldest = request.Since < oldest ? request.Since : oldest;
            if (!Turn(place++, request.Lengths, parts, again, ref tokens, ref texts)) { return new BatchPlan(parts, null); }
        }

        while (again.TryDequeue(out var next))
        {
            if (!Turn(next.Request, next.Lengths, parts, again, ref tokens, ref texts)) { return new BatchPlan(parts, null); }
        }

        // All that waits fits, and there would be room for more.
        if (parts.Count == 0) { return new BatchPlan([], null); }

        var due = oldest + MaxDelay;
        return due <= now ? new BatchPlan(parts, null) : new BatchPlan([], due);
    }

    /// <returns>False: the batch is full.</returns>
    private bool Turn(int request, ReadOnlyMemory<int> lengths, List<BatchPart> parts, Queue<(int Request, ReadOnlyMemory<int> Lengths)> again, ref long tokens, ref int texts)
    {
        var (count, turn, full) = (0, 0L, false);
        foreach (var length in lengths.Span)
        {
            full = texts == MaxTexts || (texts > 0 && tokens + length > MaxTokens);
            if (full || (count > 0 && turn + length > TurnTokens)) { break; }

            (count, texts) = (count + 1, texts + 1);
            (turn, tokens) = (turn + length, tokens + length);
        }

        if (count > 0) { parts.Add(new BatchPart(request, count)); }
        if (full || texts == MaxTexts || tokens >= MaxTokens) { return false; }
        if (count < lengths.Length) { again.Enqueue((request, lengths[count..])); }

        return true;
    }
}
