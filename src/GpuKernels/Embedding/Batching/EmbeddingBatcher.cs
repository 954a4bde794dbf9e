using System.Numerics;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Embedding.Batching;

/// <summary>
/// Embeds the texts of many callers together: tokenised as they come, gathered into packed batches by <see cref="BatchSchedule"/>, one batch at a time on all of the model's
/// threads or its device. Each vector is what the model gives for the text alone. Safe for several threads.
/// </summary>
public sealed class EmbeddingBatcher : IAsyncDisposable
{
    /// <summary>Two to this power is more than a batch has texts.</summary>
    private const int Sizes = 32;

    private readonly Action<IReadOnlyList<string>, EmbeddingPurpose, PackedTokens> _tokenise;
    private readonly Action<PackedTokens, Memory<float[]>, CancellationToken> _embed;
    private readonly BatchingOptions _options;
    private readonly BatchSchedule _schedule;
    private readonly long _origin;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();

    /// <summary>By whose turn it is.</summary>
    private readonly LinkedList<BatchRequest> _waiting = new();

    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long[] _batchesBySize = new long[Sizes];
    private Batch? _running;
    private int _acceptedTexts;
    private long _acceptedLength;
    private bool _stopping;
    private bool _abandoned;
    private long _answered;
    private long _refused;
    private long _cancelled;
    private long _failed;
    private long _batches;
    private long _texts;
    private long _tokens;
    private long _started;
    private TimeSpan _totalWait;
    private TimeSpan _longestWait;

    /// <param name="model">Not disposed of here; it must outlive this.</param>
    public EmbeddingBatcher(EmbeddingModel model, BatchingOptions? options = null)
        : this(model.Tokenise, model.EmbedPacked, model.BatchTokens, options ?? new BatchingOptions())
    {
    }

    internal EmbeddingBatcher(Action<IReadOnlyList<string>, EmbeddingPurpose, PackedTokens> tokenise, Action<PackedTokens, Memory<float[]>, CancellationToken> embed, int batchTokens, BatchingOptions options)
    {
        options.Check();
        (_tokenise, _embed, _options) = (tokenise, embed, options);
        _schedule = new BatchSchedule(options.MaxBatchTokens ?? batchTokens, options.MaxBatchTexts, options.TurnTokens, options.MaxDelay);
        _origin = options.Time.GetTimestamp();
        _timer = options.Time.CreateTimer(_ => Look(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public BatchingStatus Status
    {
        get
        {
            lock (_gate)
            {
                return new BatchingStatus
                {
                    WaitingRequests = _waiting.Count,
                    WaitingTexts = _waiting.Sum(request => request.Lengths.Length - request.Next),
                    RunningTexts = _running?.Texts ?? 0,
                    AcceptedTexts = _acceptedTexts,
                    Answered = _answered,
                    Refused = _refused,
                    Cancelled = _cancelled,
                    Failed = _failed,
                    Batches = _batches,
                    Texts = _texts,
                    Tokens = _tokens,
                    BatchesBySize = [.. _batchesBySize],
                    TotalWait = _totalWait,
                    LongestWait = _longestWait,
                    Started = _started,
                };
            }
        }
    }

    /// <returns>As many vectors as texts, in their order. A text without tokens has a vector of zeros.</returns>
    /// <exception cref="ArgumentException">There are more texts, or a longer one, or more text together, than is ever taken in one call.</exception>
    /// <exception cref="EmbeddingRefusedException">The queue is full, or it is being stopped.</exception>
    public async Task<float[][]> Embed(IReadOnlyList<string> texts, EmbeddingPurpose purpose, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (texts.Count > Math.Min(EmbeddingLimits.Texts, _options.MaxQueuedTexts)) { throw new ArgumentException($"{texts.Count} texts were given; {Math.Min(EmbeddingLimits.Texts, _options.MaxQueuedTexts)} are embedded at a time.", nameof(texts)); }

        // Whoever gave the list may change it while it is read.
        string[] own = [.. texts];
        var length = EmbeddingModel.LengthOf(own);
        if (length > _options.MaxQueuedLength) { throw new ArgumentException($"The texts have {length} UTF-16 units together; {_options.MaxQueuedLength} are embedded at a time.", nameof(texts)); }

        Accept(own.Length, length);
        try
        {
            if (own.Length == 0) { return []; }

            var request = new BatchRequest(await Task.Run(() => Tokenise(own, purpose, cancellation), cancellation), EmbeddingModel.TextsAtATime);
            Queue(request);
            await using (cancellation.UnsafeRegister((_, token) => Cancel(request, token), null)) { return await request.Answer.Task; }
        }
        finally { Release(own.Length, length); }
    }

    /// <summary>Takes no more requests, and waits until those that it has taken are answered.</summary>
    /// <param name="hurry">Cancelled: what is not answered yet is given up with <see cref="EmbeddingRefusal.Stopping"/>.</param>
    public async Task Stop(CancellationToken hurry)
    {
        lock (_gate)
        {
            _stopping = true;
            Start();
            TellWhenDrained();
        }

        await using (hurry.UnsafeRegister(_ => Abandon(), null)) { await _drained.Task; }
        await _timer.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Stop(CancellationToken.None);
        _running?.Dispose();
    }

    private TimeSpan Now() => _options.Time.GetElapsedTime(_origin);

    private static EmbeddingRefusedException Stopped() => new(EmbeddingRefusal.Stopping, "The embedder is being stopped: it takes no texts any more.");

    /// <summary>Before any work is done for it.</summary>
    private void Accept(int texts, long length)
    {
        lock (_gate)
        {
            if (_stopping) { throw Stopped(); }
            if (_acceptedTexts + texts > _options.MaxQueuedTexts || _acceptedLength + length > _options.MaxQueuedLength)
            {
                _refused++;
                throw new EmbeddingRefusedException(EmbeddingRefusal.QueueFull, $"{_acceptedTexts} texts of {_acceptedLength} UTF-16 units wait to be embedded, {_options.MaxQueuedTexts} of {_options.MaxQueuedLength} may: ask again later, or for fewer texts.");
            }

            (_acceptedTexts, _acceptedLength) = (_acceptedTexts + texts, _acceptedLength + length);
        }
    }

    private void Release(int texts, long length)
    {
        lock (_gate)
        {
            (_acceptedTexts, _acceptedLength) = (_acceptedTexts - texts, _acceptedLength - length);
            TellWhenDrained();
        }
    }

    /// <summary>A part at a time, so that a long request can be cancelled within.</summary>
    private List<PackedTokens> Tokenise(string[] texts, EmbeddingPurpose purpose, CancellationToken cancellation)
    {
        var parts = new List<PackedTokens>();
        for (var first = 0; first < texts.Length; first += EmbeddingModel.TextsAtATime)
        {
            cancellation.ThrowIfCancellationRequested();
            var packed = new PackedTokens();
            _tokenise(new ArraySegment<string>(texts, first, Math.Min(EmbeddingModel.TextsAtATime, texts.Length - first)), purpose, packed);
            parts.Add(packed);
        }

        return parts;
    }

    private void Queue(BatchRequest request)
    {
        lock (_gate)
        {
            if (_abandoned) { throw Stopped(); }

            request.Since = Now();
            _waiting.AddLast(request.Place);
            Start();
        }
    }

    private void Look()
    {
        lock (_gate) { Start(); }
    }

    /// <summary>Starts a batch, if none runs and it is time for one. Under the lock.</summary>
    private void Start()
    {
        if (_running is not null || _waiting.Count == 0) { return; }

        var now = Now();
        var seen = new List<BatchRequest>();
        var schedule = _stopping ? _schedule with { MaxDelay = TimeSpan.Zero } : _schedule;
        var plan = schedule.Next(
            _waiting.Select(request =>
            {
                seen.Add(request);
                return new WaitingRequest(request.Lengths.AsMemory(request.Next), request.Since);
            }),
            now);
        _timer.Change(plan.Due is { } due ? due - now : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (plan.Parts.Count == 0) { return; }

        var batch = new Batch();
        foreach (var (place, count) in plan.Parts)
        {
            var request = seen[place];
            if (request.Next == 0) { Waited(now - request.Since); }

            batch.Add(request, request.Next, count);
            request.Next += count;
            _waiting.Remove(request.Place);
            if (request.Next < request.Lengths.Length) { _waiting.AddLast(request.Place); }
        }

        _running = batch;
        _ = Task.Run(() => Run(batch));
    }

    private void Waited(TimeSpan wait)
    {
        _started++;
        _totalWait += wait;
        _longestWait = wait > _longestWait ? wait : _longestWait;
    }

    private void Run(Batch batch)
    {
        var vectors = new float[batch.Texts][];
        Exception? failure = null;
        var tokens = 0;
        try
        {
            var packed = batch.Pack();
            tokens = packed.Ids.Length;
            _embed(packed, vectors, batch.Stop.Token);
        }
        // Whatever it is belongs to those whose texts were in this batch, who are waiting for it; this thread has nobody else to tell.
        catch (Exception e) { failure = e; }

        lock (_gate)
        {
            var at = 0;
            foreach (var (request, first, count) in batch.Parts)
            {
                if (!request.IsOver)
                {
                    if (failure is not null) { Fail(request, failure); }
                    else if (request.Take(first, vectors.AsSpan(at, count)) is { } all)
                    {
                        request.IsOver = true;
                        _answered++;
                        request.Answer.SetResult(all);
                    }
                }

                at += count;
            }

            _batches++;
            _texts += batch.Texts;
            _tokens += tokens;
            _batchesBySize[BitOperations.Log2((uint)batch.Texts)]++;
            _running = null;
            batch.Dispose();
            Start();
            TellWhenDrained();
        }
    }

    private void Fail(BatchRequest request, Exception failure)
    {
        _failed++;
        Leave(request);
        request.Answer.SetException(failure);
    }

    private void Leave(BatchRequest request)
    {
        request.IsOver = true;
        if (request.Place.List is not null) { _waiting.Remove(request.Place); }
    }

    private void Cancel(BatchRequest request, CancellationToken token)
    {
        lock (_gate)
        {
            if (request.IsOver) { return; }

            _cancelled++;
            Leave(request);
            request.Answer.SetCanceled(token);
            if (_running?.Leave(request) == true) { _running.Stop.Cancel(); }
        }
    }

    private void Abandon()
    {
        lock (_gate)
        {
            _abandoned = true;
            foreach (var request in (BatchRequest[])[.. _waiting.Concat(_running?.Requests ?? []).Distinct().Where(request => !request.IsOver)]) { Fail(request, Stopped()); }

            _running?.Stop.Cancel();
        }
    }

    private void TellWhenDrained()
    {
        if (_stopping && _acceptedTexts == 0 && _running is null) { _drained.TrySetResult(); }
    }

    /// <summary>Texts of several requests that are embedded together.</summary>
    private sealed class Batch : IDisposable
    {
        private readonly HashSet<BatchRequest> _requests = [];

        public List<(BatchRequest Request, int First, int Count)> Parts { get; } = [];

        /// <summary>Cancelled when nobody waits for any of it any more.</summary>
        public CancellationTokenSource Stop { get; } = new();

        public int Texts { get; private set; }

        public IReadOnlyCollection<BatchRequest> Requests => _requests;

        public void Add(BatchRequest request, int first, int count)
        {
            Parts.Add((request, first, count));
            _requests.Add(request);
            Texts += count;
        }

        /// <returns>Whether it was the last one that waited.</returns>
        public bool Leave(BatchRequest request) => _requests.Remove(request) && _requests.Count == 0;

        public PackedTokens Pack()
        {
            var packed = new PackedTokens();
            var counts = packed.Begin(Texts);
            var at = 0;
            foreach (var (request, first, count) in Parts)
            {
                request.Lengths.AsSpan(first, count).CopyTo(counts[at..]);
                at += count;
            }

            Span<int> room = packed.Lay();
            foreach (var (request, first, count) in Parts)
            {
                for (var text = first; text < first + count; text++)
                {
                    request[text].CopyTo(room);
                    room = room[request.Lengths[text]..];
                }
            }

            return packed;
        }

        public void Dispose() => Stop.Dispose();
    }
}
