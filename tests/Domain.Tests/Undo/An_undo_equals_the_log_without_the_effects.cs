using System.Globalization;
using Platform.Domain.Capabilities.Undoing;

namespace Platform.Domain.Tests.Undo;

public class An_undo_equals_the_log_without_the_effects(ITestOutputHelper output)
{
    private const int RandomHistories = 20_000;

    [Fact]
    public async Task in_every_history_of_three_acts_of_two_agents()
    {
        Op[] acts =
        [
            new(0, OpKind.Set, "r", 1), new(0, OpKind.Set, "r", 2), new(0, OpKind.Add, "r", 3), new(0, OpKind.Add, "c", 1),
            new(0, OpKind.Include, "s#x"), new(0, OpKind.Exclude, "s#x"), new(0, OpKind.Create, "o", 7), new(0, OpKind.Set, "o", 0),
            new(0, OpKind.Copy, "q", 0, "r"), new(0, OpKind.Look, "r"),
        ];
        Op[] all = [.. acts, .. acts.Select(a => a with { Agent = 1 })];
        var figures = new Figures();
        foreach (var first in acts)
        {
            foreach (var second in all)
            {
                foreach (var third in all)
                {
                    Op[] history = [first, second, third];
                    await Check(history, [Of(0)], figures);
                    await Check(history, [Of(0), Of(1)], figures);
                    await Check(history, [Of(1), Of(0)], figures);
                }
            }
        }

        figures.Print(output);
        Assert.Equal(3 * 4_000, figures.Histories);

        static Func<ModelLog, UndoSelection> Of(int agent) => _ => new UndoSelection { Run = ModelLog.RunOf(agent) };
    }

    [Fact]
    public async Task in_random_histories_with_undos_of_undos()
    {
        var seed = Environment.GetEnvironmentVariable("PLATFORM_SEED") is { } given ? int.Parse(given, CultureInfo.InvariantCulture) : Random.Shared.Next(1_000_000_000);
        output.WriteLine(FormattableString.Invariant($"PLATFORM_SEED={seed}"));
        var figures = new Figures();
        for (var i = 0; i < RandomHistories; i++)
        {
            var random = new Random(seed + i);
            Op[] history = [.. Enumerable.Range(0, random.Next(2, 12)).Select(_ => RandomOp(random))];
            Func<ModelLog, UndoSelection>[] undos = [.. Enumerable.Range(0, random.Next(1, 5)).Select(n => RandomSelection(random, n))];
            try { await Check(history, undos, figures); }
            catch (Exception e) when (e is not OperationCanceledException) { throw new InvalidOperationException(FormattableString.Invariant($"PLATFORM_SEED={seed + i} (the first history): {e.Message}"), e); }
        }

        figures.Print(output);
    }

    private static Op RandomOp(Random random)
    {
        var agent = random.Next(3);
        string Of(params string[] names) => names[random.Next(names.Length)];
        return random.Next(8) switch
        {
            0 => new Op(agent, OpKind.Set, Of("r", "q", "c", "o"), random.Next(4)),
            1 => new Op(agent, OpKind.Set, Of("r", "q"), random.Next(1, 4)),
            2 => new Op(agent, OpKind.Add, Of("c", "d", "r"), random.Next(1, 4)),
            3 => new Op(agent, OpKind.Include, Of("s#x", "s#y")),
            4 => new Op(agent, OpKind.Exclude, Of("s#x", "s#y")),
            5 => new Op(agent, OpKind.Create, Of("o", "p"), random.Next(1, 4)),
            6 => new Op(agent, OpKind.Copy, Of("q", "o"), 0, "r"),
            _ => new Op(agent, OpKind.Look, Of("r", "o", "s#x")),
        };
    }

    private static Func<ModelLog, UndoSelection> RandomSelection(Random random, int undosBefore)
    {
        var cascade = random.Next(3) == 0;
        var agent = random.Next(3);
        var (kind, at) = (random.Next(undosBefore > 0 ? 4 : 3), random.Next(1_000));
        return log => kind switch
        {
            0 => new UndoSelection { Run = ModelLog.RunOf(agent), Cascade = cascade },
            1 when log.Effects.Count > 0 => new UndoSelection { Effect = log.Effects[at % log.Effects.Count], Cascade = cascade },
            3 => new UndoSelection { Undo = log.UndoOf(at % undosBefore), Cascade = cascade },
            _ => new UndoSelection { Since = log.Now.AddMinutes(-(at % 20)), User = at % 2 == 0 ? FormattableString.Invariant($"agent{agent}") : null, Cascade = cascade },
        };
    }

    private static async Task Check(Op[] history, Func<ModelLog, UndoSelection>[] undos, Figures figures)
    {
        var log = new ModelLog();
        foreach (var op in history) { log.Do(op); }
        figures.Histories++;
        var told = string.Join(" ", history.AsEnumerable());
        Assert.True(log.World.Text == log.Counterfactual(), $"{told}: {log.World.Text} before any undo, not {log.Counterfactual()}");
        foreach (var choose in undos)
        {
            var selection = choose(log);
            var undo = await log.Undo(selection, fact => figures.Saw(fact));
            told += $" | {selection} -> {string.Join("; ", undo.Requested.Plan.Lines.Select(l => $"{l.StagePath} {l.Verdict} {l.Because}"))}";
            Assert.True(undo.Completed, told);
            var planned = undo.Requested.Plan.Lines.Count(l => l.Verdict == UndoVerdict.Cannot);
            Assert.True(planned == undo.Refused, $"{told}: the plan said that {planned} cannot be undone, {undo.Refused} were refused");
            if (log.World.Text != log.Counterfactual()) { figures.Collateral++; }
            Assert.True(log.World.Text == log.Counterfactual(), $"{told}: the world is {log.World.Text}, a replay gives {log.Counterfactual()}");
        }
    }

    private sealed class Figures
    {
        private readonly SortedDictionary<string, int> reasons = new(StringComparer.Ordinal);

        public int Histories { get; set; }

        public int Collateral { get; set; }

        private int Undone { get; set; }

        private int Skipped { get; set; }

        public void Saw(object fact)
        {
            switch (fact)
            {
                case EffectUndone { Verification: Verification.Verified }: Undone++; break;
                case EffectUndoSkipped: Skipped++; break;
                case EffectUndoRefused refused:
                    var reason = Reasons.FirstOrDefault(r => refused.Because.Contains(r)) ?? refused.Because;
                    reasons[reason] = reasons.GetValueOrDefault(reason) + 1;
                    break;
                default: break;
            }
        }

        public void Print(ITestOutputHelper output)
        {
            output.WriteLine(FormattableString.Invariant($"histories {Histories}, undone and verified {Undone}, nothing left {Skipped}, refused {reasons.Values.Sum()}, collateral {Collateral}"));
            foreach (var (reason, count) in reasons) { output.WriteLine(FormattableString.Invariant($"  refused, {reason}: {count}")); }
        }

        private static readonly string[] Reasons = ["was read since", "was touched since", "was counted on since", "was made anew since", "was so already", "is not as it was left", "which was undone since", "a part of it"];
    }
}
