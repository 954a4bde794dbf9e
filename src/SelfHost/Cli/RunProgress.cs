using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons;
using Platform.Domain.Daemons.Format;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary>
/// Shows a run as it goes, a line for each stage that ended, and sums it up. What takes longer shows itself: on a terminal as a last line that is
/// written anew, elsewhere by one line when it has been under way for some seconds.
/// </summary>
internal sealed class RunProgress : IAsyncDisposable
{
    private static readonly TimeSpan Blink = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(2);

    private readonly Terminal terminal;
    private readonly Lock gate = new();
    private readonly OrderedDictionary<string, DateTimeOffset> underWay = new(StringComparer.Ordinal);
    private readonly HashSet<string> told = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Item> items = new(StringComparer.Ordinal);
    private readonly Dictionary<EffectId, string> intended = [];
    private readonly SortedDictionary<string, int> effects = new(StringComparer.Ordinal);
    private readonly List<RecordedEvent> events = [];
    private readonly CancellationTokenSource end = new();
    private readonly Task ticking;
    private int done;
    private bool lineIsLive;
    private bool disposed;

    /// <summary>One item of a list under way: its stages are told together.</summary>
    private sealed class Item(string label)
    {
        public string Label { get; } = label;

        public DateTimeOffset? Began { get; set; }

        public decimal Cost { get; set; }
    }

    public RunProgress(Terminal terminal)
    {
        this.terminal = terminal;
        ticking = terminal.Json ? Task.CompletedTask : Tick();
    }

    /// <summary>The daemon wants undone what a failed run did.</summary>
    public bool UndoesItself => events is [.., { Data: RunFailed { Undo: true } }];

    public void Show(RecordedEvent recorded)
    {
        lock (gate)
        {
            events.Add(recorded);
            Tell(recorded.Data);
        }
    }

    /// <summary>What was done, what it cost, the run's id, and what to try next.</summary>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public async Task<int> Report(RunId run)
    {
        await DisposeAsync();
        var (story, summary) = RunJson.Fold(events);
        var last = events[^1].Data;
        var code = last switch { RunCompleted => ExitCode.Done, RunCancelled => ExitCode.Interrupted, _ => ExitCode.Failed };
        if (terminal.Json)
        {
            var json = RunJson.Story(story!, summary!);
            if (last is RunCompleted completed) { json["outputs"] = new JsonObject([.. completed.Outputs.Select(o => new KeyValuePair<string, JsonNode?>(o.Key, JsonNode.Parse(o.Value.GetRawText())))]); }
            terminal.Document(json);
            return code;
        }

        terminal.Line();
        terminal.Line(last switch
        {
            RunCompleted => terminal.Paint("Done.", Ink.Green),
            RunCancelled => terminal.Paint("Cancelled.", Ink.Yellow),
            RunFailed e => $"{terminal.Paint("Failed", Ink.Red)} ({Terminal.Safe(e.ErrorType)}): {Terminal.Safe(e.Message)}",
            _ => summary!.Status,
        });
        if (last is RunCompleted { Outputs.Count: > 0 } with)
        {
            // In the daemon's order; stored they are in jsonb's.
            var order = DaemonParser.Parse(((RunStarted)events[0].Data).DaemonText).Definition!.Outputs.Keys.ToList();
            var widest = with.Outputs.Keys.Max(name => Terminal.Columns(name));
            foreach (var (name, value) in with.Outputs.OrderBy(o => order.IndexOf(o.Key))) { terminal.Line($"  {Terminal.Pad(Terminal.Safe(name), widest)}  {Terminal.Safe(value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText())}"); }
            terminal.Line();
        }

        var took = summary!.EndedAt - summary.StartedAt;
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"  {summary.StagesDone} stages done, {summary.StagesFailed} failed, {summary.StagesSkipped} skipped in {took?.TotalSeconds:0.00} s"));
        terminal.Line(effects.Count == 0 ? "  Nothing outside was changed." : $"  Changed: {string.Join(", ", effects.Select(e => $"{e.Value} x {e.Key}"))}");
        terminal.Line($"  Cost: {Credits(summary.CostCredits)}");
        terminal.Line();
        terminal.Line($"Run {run}. Next:");
        terminal.Line($"  platform audit {run}     what it did, and why");
        if (effects.Count > 0) { terminal.Line($"  platform undo {run}      takes it back; shows first what that would do"); }
        if (last is RunCancelled or RunFailed && events.Select(e => e.Data).OfType<StageStarted>().LastOrDefault() is { } begun)
        {
            terminal.Line($"  platform fork {run} --from {begun.Path.Split('/')[0].Split('[')[0]}     goes on from there");
        }

        return code;
    }

    public async ValueTask DisposeAsync()
    {
        if (disposed) { return; }
        disposed = true;
        await end.CancelAsync();
        await ticking;
        end.Dispose();
        lock (gate) { ClearLine(); }
    }

    private static string Credits(decimal cost) => string.Create(CultureInfo.InvariantCulture, $"{cost:0.####} credits");

    private static string Seconds(TimeSpan time) => time < TimeSpan.FromMinutes(1)
        ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0} s")
        : string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalMinutes} min {time.Seconds} s");

    private void Tell(object fact)
    {
        switch (fact)
        {
            case StagesRecalled e:
                Note($"  {terminal.Paint($"{"taken",-8}", Ink.Dim)} {e.Settled.ToString(CultureInfo.InvariantCulture)} stages over from run {e.Source}");
                break;
            case StageStarted e:
                underWay[e.Path] = e.At;
                if (ItemOf(e.Path) is { } begun) { begun.Began ??= e.At; }
                break;
            case StageCompleted { Attempt: > 0 } e:
                Ended("ok", Ink.Green, e.Path, e.At, e.CostCredits, e.Usage?.Method ?? e.Usage?.Isolation);
                break;
            case StageCompleted e:
                Ended("ok", Ink.Green, e.Path, null, 0, null);
                break;
            case VariablesSet e:
                Ended("ok", Ink.Green, e.Path, null, 0, $"set {string.Join(", ", e.Values.Keys.Order(StringComparer.Ordinal))}");
                break;
            case DomainEventEmitted e:
                Ended("ok", Ink.Green, e.Path, null, 0, $"said '{e.Event}'");
                break;
            case StageFailed { Response: FailureResponse.Retry } e:
                Ended("again", Ink.Yellow, e.Path, e.At, e.CostCredits, string.Create(CultureInfo.InvariantCulture, $"{e.ErrorType}: {e.Message} (next attempt in {e.RetryAfter?.TotalSeconds:0.#} s)"));
                break;
            case StageFailed e:
                Ended("failed", Ink.Red, e.Path, e.At, e.CostCredits, $"{e.ErrorType}: {e.Message}");
                break;
            case StageSkipped e:
                Ended("skipped", Ink.Dim, e.Path, null, 0, e.Reason);
                break;
            case StageCancelled e:
                Ended("stopped", Ink.Yellow, e.Path, null, 0, e.Reason);
                break;
            case ForeachExpanded e:
                for (var i = 0; i < e.Items.Count; i++) { items[StagePath.Item(e.Path, i)] = new Item(LabelOf(e.Items[i])); }
                if (ItemOf(e.Path) is null || terminal.Verbose) { Note(string.Create(CultureInfo.InvariantCulture, $"  {"",-8} {Terminal.Safe(e.Path)}: {e.Items.Count} items")); }
                break;
            case ItemCompleted e when items.Remove(e.Path, out var item):
                EndedItem("ok", Ink.Green, e.Path, e.At, item, item.Label);
                break;
            case ItemFailed e when items.Remove(e.Path, out var item):
                EndedItem("failed", Ink.Red, e.Path, e.At, item, $"{item.Label}: {e.ErrorType}: {e.Message}");
                break;
            case BranchTaken e when ItemOf(e.Path) is null || terminal.Verbose:
                Note($"  {"",-8} {Terminal.Safe(e.Path)}: {e.Branch}");
                break;
            case BudgetExceeded e:
                Note(string.Create(CultureInfo.InvariantCulture, $"  {terminal.Paint($"{"budget",-8}", Ink.Red)} {Terminal.Safe(e.Path)} wants {e.Wanted:0.####} {e.Kind}, {e.Available:0.####} are left: the run stops."));
                break;
            case RunTimedOut e:
                Note($"  {terminal.Paint($"{"time",-8}", Ink.Red)} The run took longer than {Seconds(e.Limit)}: it stops.");
                break;
            case EffectIntended e:
                intended[e.EffectId] = e.Capability;
                break;
            case EffectConfirmed e:
                var capability = intended[e.EffectId];
                effects[capability] = effects.GetValueOrDefault(capability) + 1;
                break;
            case RunCancelRequested:
                Note("  Cancelling: what has begun is finished or given up. Ctrl-C again leaves at once.");
                break;
        }
    }

    private void Ended(string mark, Ink ink, string path, DateTimeOffset? at, decimal cost, string? note)
    {
        done++;
        var began = underWay.TryGetValue(path, out var begin);
        underWay.Remove(path);
        told.Remove(path);
        if (ItemOf(path) is { } item)
        {
            item.Cost += cost;

            // What went well within an item is told with the item.
            if (ink is Ink.Green or Ink.Dim && !terminal.Verbose) { return; }
        }

        Line(mark, ink, path, began && at is { } then ? then - begin : null, cost, note);
    }

    private void EndedItem(string mark, Ink ink, string path, DateTimeOffset at, Item item, string note)
    {
        if (ItemOf(path) is { } around)
        {
            around.Began ??= item.Began;
            around.Cost += item.Cost;
            if (ink is Ink.Green && !terminal.Verbose) { return; }
        }

        Line(mark, ink, path, at - item.Began, item.Cost, note);
    }

    private void Line(string mark, Ink ink, string path, TimeSpan? took, decimal cost, string? note)
    {
        var time = took is { } t ? string.Create(CultureInfo.InvariantCulture, $"{t.TotalSeconds,7:0.00} s") : "";
        Note($"  {terminal.Paint($"{mark,-8}", ink)} {Terminal.Pad(Terminal.Safe(path), 24)} {time,9}  {(cost > 0 ? Credits(cost) : ""),-14}  {(note is null ? "" : Terminal.Safe(note))}".TrimEnd());
    }

    /// <summary>The innermost item that a path lies in.</summary>
    private Item? ItemOf(string path)
    {
        for (var at = path.LastIndexOf("]/", StringComparison.Ordinal); at > 0; at = path.LastIndexOf("]/", at - 1, StringComparison.Ordinal))
        {
            if (items.TryGetValue(path[..(at + 1)], out var item)) { return item; }
        }

        return null;
    }

    /// <summary>What a person calls an item: its text, or its name, title or id.</summary>
    private static string LabelOf(JsonElement item)
    {
        const int Most = 60;
        var named = item.ValueKind is JsonValueKind.Object
            ? ((string[])["name", "title", "id", "path"]).Select(key => item.TryGetProperty(key, out var value) && value.ValueKind is JsonValueKind.String ? value.GetString() : null).FirstOrDefault(text => text is not null)
            : item.ValueKind is JsonValueKind.String ? item.GetString() : null;
        var label = (named ?? item.GetRawText()).ReplaceLineEndings(" ");
        return label.Length <= Most ? label : label[..(char.IsHighSurrogate(label[Most - 1]) ? Most - 1 : Most)] + "...";
    }

    private void Note(string line)
    {
        ClearLine();
        terminal.Note(line);
    }

    private void ClearLine()
    {
        if (!lineIsLive) { return; }
        terminal.Error.Write("\r\e[K");
        lineIsLive = false;
    }

    private async Task Tick()
    {
        using var timer = new PeriodicTimer(Blink);
        try
        {
            while (await timer.WaitForNextTickAsync(end.Token))
            {
                lock (gate) { ShowUnderWay(TimeProvider.System.GetUtcNow()); }
            }
        }
        catch (OperationCanceledException) { /* It has ended. */ }
    }

    private void ShowUnderWay(DateTimeOffset now)
    {
        if (underWay.Count == 0) { return; }
        if (terminal.Live)
        {
            var (path, begin) = underWay.GetAt(0);
            var others = underWay.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $", {underWay.Count - 1} more under way") : "";
            var line = string.Create(CultureInfo.InvariantCulture, $"  ...      {Terminal.Safe(path)} for {Seconds(now - begin)}{others}; {done} done");
            var width = Math.Max(20, Console.BufferWidth - 1);
            ClearLine();
            terminal.Error.Write(line.Length > width ? line[..width] : line);
            lineIsLive = true;
            return;
        }

        foreach (var (path, begin) in underWay)
        {
            if (now - begin >= Long && told.Add(path)) { terminal.Note($"  {"...",-8} {Terminal.Safe(path)} is under way"); }
        }
    }
}
