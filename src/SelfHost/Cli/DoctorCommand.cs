using System.CommandLine;
using System.Text.Json.Nodes;
using Platform.Capabilities.Scripts;
using Platform.Domain.Capabilities;
using Platform.Domain.Inference;
using Platform.EmbeddedPostgres;
using Platform.EventStore;
using Platform.EventStore.Projections;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform doctor</c>: what works on this machine, what does not, and what to do about it.</summary>
internal static class DoctorCommand
{
    /// <summary>A device that failed is tried again by each new process, so an old failure says little of today.</summary>
    private static readonly TimeSpan FailuresShown = TimeSpan.FromDays(7);

    public static Command Create(Commands commands) => commands.Add("doctor", "Examine this machine: database, sandbox, audit key, compute devices.", [], ["doctor", "doctor --json"], (_, settings, stop) => Execute(settings, stop));

    private static async Task<int> Execute(Settings settings, CancellationToken stop)
    {
        var found = new List<(string Area, string Name, LayerState State, string Sentence)>();
        try
        {
            await using var installation = await Installation.Open(settings, stop);
            found.Add(("database", "postgres", LayerState.Works, $"PostgreSQL answers; the log has {await installation.Node.Store.CommittedEvents(stop)} events."));
            found.Add(("audit", "key", LayerState.Works, $"{installation.Node.Key.Name} signs checkpoints."));
            found.Add(("audit", "anchor", Environment.GetEnvironmentVariable("PLATFORM_ANCHOR") is { Length: > 0 } ? LayerState.Works : LayerState.Weaker, $"Checkpoints are appended to {installation.Node.Options.AnchorFile}; set PLATFORM_ANCHOR to a file that this machine's operator cannot rewrite."));
            var dead = await installation.Node.Messages.DeadLetters(null, 100, stop);
            found.Add(("messages", "dead letters", dead.Count == 0 ? LayerState.Works : LayerState.Weaker, dead.Count == 0 ? "None." : $"{dead.Count}; the newest: {dead[^1].Envelope.Type}: {dead[^1].Error.Split('\n')[0]}"));
            var changing = installation.Node.Capabilities.All.Where(c => c.Class != EffectClass.Pure).ToList();
            var covered = changing.Where(c => c.Class != EffectClass.Irreversible).ToList();
            found.Add(("undo", "coverage", covered.Count == changing.Count ? LayerState.Works : LayerState.Weaker, $"{covered.Count} of {changing.Count} capabilities that change something have an inverse, which the contract tests perform; `platform undo --figures` tells of what was done here."));
            foreach (var open in await ReadingMonitor.LongTransactions(installation.Node.Store, ReadingMonitor.LongTransactionAge, stop))
            {
                found.Add(("database", "long transaction", LayerState.Weaker, string.Create(
                    System.Globalization.CultureInfo.InvariantCulture,
                    $"{(open.Pid is { } pid ? $"Pid {pid}" : "Prepared")} ({Terminal.Safe(open.Application)}) has been open for {open.Age.TotalMinutes:0.0} minutes: until it ends, PostgreSQL keeps rows that nobody needs any more, and the log is sealed more slowly.")));
            }

            var parked = await ParkedEvent.List(installation.Node.Store, null, 100, stop);
            found.Add(("projections", "parked events", parked.Count == 0 ? LayerState.Works : LayerState.Weaker, parked.Count == 0 ? "None." : $"{parked.Count}; `platform projections parked` says why."));
            if (await LastFailure(installation, stop) is { } aside) { found.Add(("devices", "set aside", LayerState.Weaker, Terminal.Safe(ComputeDevices.Describe(aside)))); }

            var probe = await installation.Node.Sandbox.Probe(stop);
            found.AddRange(probe.Layers.Select(layer => ("sandbox", layer.Name, layer.State, layer.Sentence)));
            found.Add(("sandbox", "scripts", probe.Tier is null ? LayerState.Missing : LayerState.Works, probe.Tier is { } tier ? $"Scripts run under {tier}." : "No script will run on this machine."));
        }
        catch (Exception e) when (e is ClusterException or StoreUnavailableException or SchemaTooNewException or ProjectionTooNewException)
        {
            found.Add(("database", "postgres", LayerState.Missing, e.Message));
        }

        found.Add(Memory());
        found.Add(("devices", "compute", LayerState.Works, Terminal.Safe(ComputeDevices.Describe())));
        foreach (var (area, name, state, sentence) in found)
        {
            if (settings.Terminal.Json) { settings.Terminal.Record(new JsonObject { ["area"] = area, ["name"] = name, ["state"] = state.ToString().ToLowerInvariant(), ["detail"] = sentence }); }
            else
            {
                var (mark, ink) = state switch { LayerState.Works => ("works", Ink.Green), LayerState.Weaker => ("weaker", Ink.Yellow), LayerState.Missing => ("missing", Ink.Red) };
                settings.Terminal.Line($"{settings.Terminal.Paint($"{mark,-8}", ink)} {area + "/" + name,-24} {sentence}");
            }
        }

        return found.Any(one => one.State == LayerState.Missing && one.Area == "database") ? ExitCode.Failed : ExitCode.Done;
    }

    /// <summary>Of a device that ran one of the tenant's models, where it is not long ago.</summary>
    private static async Task<DeviceSetAside?> LastFailure(Installation installation, CancellationToken stop) =>
        (await installation.Node.Store.Load(installation.Tenant, ModelLibraryId.Only.Value, Domain.Folds.ModelLibrary, stop)).State?.LastSetAside is { } aside && aside.At > TimeProvider.System.GetUtcNow() - FailuresShown
            ? aside : null;

    /// <summary>What models may take, whichever process holds them.</summary>
    private static (string Area, string Name, LayerState State, string Sentence) Memory()
    {
        try { return ("models", "memory", LayerState.Works, FormattableString.Invariant($"The weights of models in memory may take {TextEmbedders.MaxBytesHere / (1024.0 * 1024):0} MiB together ({TextEmbedders.MemoryVariable}).")); }
        catch (ProblemException e) { return ("models", "memory", LayerState.Missing, Terminal.Safe(e.Message)); }
    }
}
