using System.Globalization;
using System.Text.Json;
using Platform.Domain.Daemons;

namespace Platform.Domain.Tests.Runs.Simulation;

public class A_run_on_a_machine_that_dies
{
    private const int DefaultSeeds = 250;

    private static int Seeds => int.TryParse(Environment.GetEnvironmentVariable("PLATFORM_SEEDS"), CultureInfo.InvariantCulture, out var seeds) ? seeds : DefaultSeeds;

    [Fact]
    public async Task makes_nothing_twice_ends_and_replays_to_the_byte()
    {
        var seen = new HashSet<string>();
        for (var seed = 0; seed < Seeds; seed++)
        {
            var text = new RandomDaemon(new Random(seed)).Write();
            try
            {
                var dice = new Random(seed + 1_000_000);
                var cancelAfter = seed % 5 == 0 ? new Random(seed).Next(1, 25) : (int?)null;
                var (host, world) = await Drive(text, seed, dice, () => dice.Next(6) == 0, cancelAfter);
                Check(host, world);
                seen.UnionWith(host.Events.Select(e => e.GetType().Name));
            }
            catch (Exception failed) when (failed is not OutOfMemoryException)
            {
                throw new InvalidOperationException($"Seed {seed}:\n{text}\n{failed}", failed);
            }
        }

        // What a fork recalls and what nobody can tell have tests of their own.
        var all = typeof(IRunEvent).Assembly.GetTypes().Where(t => t.IsClass && t.IsAssignableTo(typeof(IRunEvent))).Select(t => t.Name);
        Assert.Equal([nameof(Platform.Domain.Capabilities.EffectUnknown), nameof(StagesRecalled)], all.Except(seen).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task comes_to_the_same_end_as_on_one_that_lives()
    {
        for (var seed = 0; seed < Seeds; seed++)
        {
            // Without a wall clock limit or parallel items with a budget the end does not depend on who was faster.
            var text = new RandomDaemon(new Random(seed)).Write().Replace("  timeout: ", "  description: ", StringComparison.Ordinal);
            text = System.Text.RegularExpressions.Regex.Replace(text, "parallelism: \\d", "parallelism: 1");
            try
            {
                var (whole, _) = await Drive(text, seed, new Random(1), () => false, null);
                var dice = new Random(seed + 2_000_000);
                var (crashed, world) = await Drive(text, seed, dice, () => dice.Next(5) == 0, null);
                Check(crashed, world);
                Assert.Equal(End(whole), End(crashed));
            }
            catch (Exception failed) when (failed is not OutOfMemoryException)
            {
                throw new InvalidOperationException($"Seed {seed}:\n{text}\n{failed}", failed);
            }
        }
    }

    [Fact]
    public async Task dies_at_every_point_once_and_comes_to_the_same_end()
    {
        for (var seed = 0; seed < 10; seed++)
        {
            var text = System.Text.RegularExpressions.Regex.Replace(new RandomDaemon(new Random(seed)).Write(), "parallelism: \\d", "parallelism: 1").Replace("  timeout: ", "  description: ", StringComparison.Ordinal);
            var (whole, _) = await Drive(text, seed, new Random(1), () => false, null);
            for (var point = 0; point < 400; point++)
            {
                var reached = 0;
                var (crashed, world) = await Drive(text, seed, new Random(2), () => reached++ == point, null);
                if (crashed.Crashes == 0) { break; }
                Check(crashed, world);
                Assert.True(End(whole) == End(crashed), $"Seed {seed}, point {point}:\n{text}\n{End(whole)}\n{End(crashed)}");
            }
        }
    }

    private static async Task<(SimulatedHost Host, FakeWorld World)> Drive(string text, int seed, Random order, Func<bool> dies, int? cancelAfter)
    {
        var world = new FakeWorld(seed);
        world.Point = where => { if (dies()) { throw new CrashException(where); } };
        var host = new SimulatedHost(world, order, dies);
        await host.Drive(new StartRun(new RunId(new Guid(seed + 1, 0, 0, new byte[8])), text, JsonElement.Parse("{}"u8), "simulator"), cancelAfter);
        return (host, world);
    }

    private static void Check(SimulatedHost host, FakeWorld world)
    {
        var run = host.State!;
        var events = host.Events;
        Assert.NotNull(run.Ended);
        Assert.Equal(0m, run.ReservedCredits);
        Assert.DoesNotContain(world.Made, m => m.Value > 1);

        // Everything that was made is known, and everything that is known was made.
        var confirmed = events.OfType<Platform.Domain.Capabilities.EffectConfirmed>().Select(e => e.EffectId.ToString()).Order(StringComparer.Ordinal);
        Assert.Equal(confirmed, world.Made.Keys.Order(StringComparer.Ordinal));
        Assert.Single(events, e => e is RunCompleted or RunFailed or RunCancelled);
        Assert.Equal(run.SpentCredits, events.Sum(e => e switch { BudgetSettled s => s.CostCredits, StageResultDropped d => d.CostCredits, _ => 0m }));

        var replayed = RunReplay.Verify(events);
        Assert.Null(replayed.Difference);
        Assert.Equal(run.Ended, replayed.Run!.Ended);
    }

    // Moments and waits differ after a crash; what happened does not.
    private static string End(SimulatedHost host) => string.Join('\n', host.Events.Select(e => e switch
    {
        StageCompleted c => $"{c.Path} completed {c.Output} {c.By} {c.Untrusted} {c.CostCredits}",
        StageFailed f => $"{f.Path} failed {f.Attempt} {f.ErrorType} {f.Response}",
        RunCompleted r => $"completed {JsonSerializer.Serialize(r.Outputs.Select(o => o.Key + o.Value))} {r.CostCredits}",
        RunFailed r => $"run failed {r.ErrorType} {r.Path} {r.CostCredits} {r.Undo}",
        Platform.Domain.Capabilities.EffectConfirmed c => $"{c.Path} confirmed {c.Result}",
        _ => e.GetType().Name,
    }));
}
