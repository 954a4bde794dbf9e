using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>
/// The log as server-sent events (HTML Living Standard, section 9.2): those there are, then those to come. An event's id is where to go on after:
/// <c>Last-Event-ID</c>, or <c>?after=</c> at the first time. What does not fit the filter still moves that place on, by frames that hold an id only.
/// The stream outlives a store that is away.
/// </summary>
internal sealed class EventStream(HttpContext context, ApiCall call, LogTail tail) : IDisposable
{
    /// <summary>Events looked at in one go.</summary>
    private const int Page = 500;

    /// <summary>Proxies and browsers give a silent connection up after a minute or so.</summary>
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    /// <summary>Between two looks: under load, events gather for one query instead of each making one.</summary>
    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(50);

    private static readonly TimeSpan StoreAway = TimeSpan.FromSeconds(1);

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false);

    private readonly SemaphoreSlim frames = new(1);
    private long told;

    public static bool IsWanted(HttpRequest request) =>
        request.GetTypedHeaders().Accept is { Count: > 0 } accept && accept.Any(type => type.MediaType == "text/event-stream");

    public void Dispose() => frames.Dispose();

    /// <summary>The tenant's sealed events, until the caller leaves.</summary>
    public async Task OfTenant(CancellationToken cancellation)
    {
        var query = call.Query.Only("after", "type", "run");
        var filter = LogEndpoints.EventFilter.Of(query);
        var store = call.Node.Store;
        var position = query.Text("after") == "latest" && LastEventId() is null ? await store.LastPosition(cancellation) : After(query);
        await Begin(position, cancellation);
        await Live(async () =>
        {
            var last = await tail.Beyond(position, cancellation);
            var to = Math.Min(last, position + Page);
            await foreach (var recorded in store.FetchAll(call.Tenant, position, (int)(to - position), cancellation))
            {
                if (filter.Fits(recorded)) { await Tell(recorded, recorded.Position, cancellation); }

                // One by one: should the store go away within the page, what was told is not told again.
                position = recorded.Position;
            }

            // Positions in between are another tenant's, or do not fit.
            position = to;
            if (position - told >= Page) { await Tell(position, cancellation); }
            return position < last ? TimeSpan.Zero : Apart;
        }, () => position, cancellation);
    }

    /// <summary>A run's events, until it has ended and all are told.</summary>
    public async Task OfRun(CancellationToken cancellation)
    {
        var query = call.Query.Only("after", "type");
        var filter = LogEndpoints.EventFilter.Of(query);
        var run = RunId.From(call.Id("run"));
        var version = After(query);
        if ((await call.Runs.Get(call.Tenant, run, cancellation)).Ended is not null && await IsTold(run, version, cancellation))
        {
            // The standard's way to say: do not connect again.
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        await Begin(version, cancellation);
        long looked = -1;
        await Live(async () =>
        {
            if (looked >= 0) { looked = await tail.Beyond(looked, cancellation); }
            else { looked = await call.Node.Store.LastPosition(cancellation); }
            var ended = (await call.Runs.Get(call.Tenant, run, cancellation)).Ended is not null;
            await foreach (var recorded in call.Node.Store.Fetch(call.Tenant, run.Value, version + 1, cancellation: cancellation))
            {
                if (filter.Fits(recorded)) { await Tell(recorded, recorded.Version, cancellation); }
                version = recorded.Version;
            }

            if (!ended) { return Apart; }
            if (version > told) { await Tell(version, cancellation); }
            return null;
        }, () => version, cancellation);
    }

    private async Task<bool> IsTold(RunId run, long version, CancellationToken cancellation)
    {
        await foreach (var _ in call.Node.Store.Fetch(call.Tenant, run.Value, version + 1, cancellation: cancellation)) { return false; }
        return true;
    }

    private async Task Begin(long from, CancellationToken cancellation)
    {
        told = from;
        var response = context.Response;
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-store";
        response.Headers["X-Accel-Buffering"] = "no";
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();

        // Something at once, so that proxies and callers see that it is open; and how soon to come back if it breaks.
        await Write("retry: 1000\n\n", cancellation);
    }

    /// <param name="step">Tells what there is and waits for more; answers how long to let events gather, or null at the end.</param>
    /// <param name="place">Where the next one goes on.</param>
    private async Task Live(Func<Task<TimeSpan?>> step, Func<long> place, CancellationToken cancellation)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var beating = Beat(place, ended.Token);
        try
        {
            while (true)
            {
                try
                {
                    if (await step() is not { } pause) { return; }
                    if (pause > TimeSpan.Zero) { await Task.Delay(pause, cancellation); }
                }
                catch (StoreUnavailableException)
                {
                    await Task.Delay(StoreAway, cancellation);
                }
            }
        }
        finally
        {
            await ended.CancelAsync();
            await beating.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>A comment now and then, with the place where to go on if that has moved.</summary>
    private async Task Beat(Func<long> place, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(Heartbeat);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            var at = place();
            if (at > told) { await Tell(at, cancellation); }
            else { await Write(":\n\n", cancellation); }
        }
    }

    private Task Tell(RecordedEvent recorded, long id, CancellationToken cancellation)
    {
        told = id;
        return Write($"id: {id.ToString(CultureInfo.InvariantCulture)}\nevent: {recorded.Alias}\ndata: {HttpJson.Text(RunJson.Event(recorded, call.Node.Store.EventTypes))}\n\n", cancellation);
    }

    private Task Tell(long id, CancellationToken cancellation)
    {
        told = id;
        return Write($"id: {id.ToString(CultureInfo.InvariantCulture)}\n\n", cancellation);
    }

    private async Task Write(string frame, CancellationToken cancellation)
    {
        await frames.WaitAsync(cancellation);
        try
        {
            await context.Response.BodyWriter.WriteAsync(Utf8.GetBytes(frame), cancellation);
        }
        finally
        {
            frames.Release();
        }
    }

    /// <exception cref="ProblemException">It is no place in the log.</exception>
    private long After(ApiQuery query) => LastEventId() is { } id
        ? long.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out var place) && place < long.MaxValue
            ? place
            : throw new ProblemException(new Problem("events.last-event-id", "Last-Event-ID is not an id that this stream has given.", 400))
        : query.Number("after", 0, long.MaxValue - 1) ?? 0;

    private string? LastEventId() => context.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } id ? id : null;
}
