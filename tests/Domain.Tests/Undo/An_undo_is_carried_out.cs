using System.Text.Json;
using Platform.Domain.Capabilities.Undoing;
using Platform.Messaging;

namespace Platform.Domain.Tests.Undo;

public class An_undo_is_carried_out
{
    private const int Ada = 0, Bob = 1;
    private readonly ModelLog log = new();
    private static readonly UndoSelection AllOfAda = new() { Run = ModelLog.RunOf(Ada) };

    [Fact]
    public async Task and_each_inverse_is_recorded_before_it_is_performed_and_looked_at_afterwards()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        var seen = new List<object>();
        await log.Undo(AllOfAda, seen.Add);
        Assert.Collection(
            seen,
            e => Assert.IsType<UndoRequested>(e),
            e => Assert.Equal("1", Assert.Single(Assert.IsType<EffectUndoIntended>(e).Touches).Before.Hash),
            e => Assert.Equal((Verification.Verified, false), (Assert.IsType<EffectUndone>(e).Verification, ((EffectUndone)e).Stands)),
            e => Assert.Equal(new UndoCompleted(false, 1, 0, 0, ((UndoCompleted)e).At), e));
        Assert.Equal("", log.World.Text);
    }

    [Fact]
    public async Task and_undone_itself()
    {
        log.Do(new Op(Ada, OpKind.Create, "o", 1));
        log.Do(new Op(Ada, OpKind.Add, "c", 4));
        log.Do(new Op(Bob, OpKind.Add, "c", 3));
        var undo = await log.Undo(AllOfAda);
        Assert.Equal("c=3", log.World.Text);
        var redo = await log.Undo(new UndoSelection { Undo = undo.Id });
        Assert.Equal("c=7, o=1", log.World.Text);
        await log.Undo(new UndoSelection { Undo = redo.Id });
        Assert.Equal("c=3", log.World.Text);
    }

    [Fact]
    public async Task and_asked_for_again_finds_nothing_left()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        await log.Undo(AllOfAda);
        var again = await log.Undo(AllOfAda);
        Assert.Empty(again.Requested.Plan.Lines);
        Assert.True(again is { Completed: true, Undone: 0, Refused: 0 });
    }

    [Fact]
    public async Task to_its_end_however_often_the_process_dies()
    {
        log.Do(new Op(Ada, OpKind.Add, "c", 4));
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Ada, OpKind.Create, "o", 1));
        var deaths = 0;
        void Die()
        {
            if (deaths++ % 2 == 0) { throw new ProcessDied(); }
        }

        log.World.BeforePerform = Die;
        log.World.AfterPerform = Die;
        var seen = new List<object>();
        var undo = await log.Undo(AllOfAda, seen.Add);
        Assert.Equal("", log.World.Text);
        Assert.Equal(3, undo.Undone);
        Assert.True(deaths >= 4);
        Assert.Equal(3, seen.OfType<EffectUndone>().Count());
    }

    [Fact]
    public async Task and_performs_nothing_twice_when_only_the_record_of_it_was_lost()
    {
        log.Do(new Op(Ada, OpKind.Add, "c", 4));
        log.Do(new Op(Bob, OpKind.Add, "c", 3));
        var died = false;
        log.World.AfterPerform = () =>
        {
            if (died) { return; }
            died = true;
            throw new ProcessDied();
        };
        var seen = new List<object>();
        await log.Undo(AllOfAda, seen.Add);
        Assert.Equal("c=3", log.World.Text);
        Assert.True(Assert.Single(seen.OfType<EffectUndone>()).ReadBack);
    }

    [Fact]
    public async Task and_refuses_where_somebody_without_a_record_was_there_and_names_the_place()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Ada, OpKind.Set, "q", 1));
        log.World["r"] = "99";
        var seen = new List<object>();
        var undo = await log.Undo(AllOfAda, seen.Add);
        var refused = Assert.Single(seen.OfType<EffectUndoRefused>());
        Assert.Equal(("r", "r is 99, not 1.", true), (refused.Resource, refused.Because, refused.Stands));
        Assert.True(undo is { Undone: 1, Refused: 1, Completed: true });
        Assert.True(Assert.Single(seen.OfType<UndoCompleted>()).Partial);
        Assert.Equal("r=99", log.World.Text);
    }

    [Fact]
    public async Task and_what_others_made_of_it_must_have_gone_first()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Bob, OpKind.Copy, "q", 0, "r"));
        log.World["q"] = "99";
        var undo = await log.Undo(AllOfAda with { Cascade = true });
        Assert.True(undo is { Undone: 0, Refused: 2 });
        Assert.Equal("q=99, r=1", log.World.Text);
    }

    [Fact]
    public async Task and_a_place_that_changes_between_plan_and_inverse_is_refused()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.World.BeforePerform = () => log.World["r"] = "99";
        var seen = new List<object>();
        await log.Undo(AllOfAda, seen.Add);
        Assert.False(Assert.Single(seen.OfType<EffectUndoRefused>()).MayHaveHappened);
        Assert.Equal("r=99", log.World.Text);
    }

    [Fact]
    public async Task and_every_decision_is_made_once_however_often_it_is_asked()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        var undo = await log.Undo(AllOfAda);
        var line = Assert.Single(undo.Requested.Plan.Lines);
        var asked = RequestUndoHandler.Handle(new RequestUndo(undo.Id, AllOfAda, "x"), undo, undo.Requested.Plan, log.Now);
        var planned = UndoNextEffectHandler.Handle(new UndoNextEffect(undo.Id, line.EffectId), undo, new InverseStep.Refused("", null), log.Now);
        var performed = PerformInverseHandler.Handle(new PerformInverse(undo.Id, line.EffectId), undo, new InverseOutcome.Refused("", null, false), log.Now);
        Assert.All([asked, planned, performed], answer =>
        {
            Assert.Empty(answer.Item1);
            Assert.Empty((IEnumerable<OutgoingMessage>)answer.Item2);
        });
    }

    [Fact]
    public async Task only_as_it_was_shown()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        var shown = UndoPlanner.Plan(AllOfAda, "agent0", log.History.Records);
        log.Do(new Op(Bob, OpKind.Copy, "q", 0, "r"));
        var refused = await Assert.ThrowsAsync<ProblemException>(() => log.Undo(AllOfAda, by: "agent0", planHash: shown.Hash));
        Assert.Equal(("undo.plan-changed", 409), (refused.Problem.Code, refused.Problem.Status));
        Assert.Contains("1 cannot. model.Set of stage 's0': Cannot be undone: r was read since by model.Copy", refused.Problem.Detail, StringComparison.Ordinal);
        Assert.Equal("q=1, r=1", log.World.Text);

        var now = UndoPlanner.Plan(new UndoSelection { Run = ModelLog.RunOf(Bob) }, "agent1", log.History.Records);
        var undo = await log.Undo(new UndoSelection { Run = ModelLog.RunOf(Bob) }, by: "agent1", planHash: now.Hash);
        Assert.Equal(now.Hash, undo.Requested.PlanHash);
        Assert.Equal("r=1", log.World.Text);
    }

    [Fact]
    public async Task but_not_more_effects_at_once_than_one_event_holds()
    {
        for (var i = 0; i <= RequestUndoHandler.MaxLines; i++) { log.Do(new Op(Ada, OpKind.Add, FormattableString.Invariant($"c{i}"), 1)); }
        var refused = await Assert.ThrowsAsync<ProblemException>(() => log.Undo(AllOfAda));
        Assert.Equal("undo.too-large", refused.Problem.Code);
    }

    [Fact]
    public async Task and_its_events_come_back_from_their_json()
    {
        log.Do(new Op(Ada, OpKind.Create, "o", 1));
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Bob, OpKind.Set, "o", 2));
        var seen = new List<object>();
        await log.Undo(AllOfAda, seen.Add);
        Assert.Contains(seen, e => e is EffectUndoRefused);
        foreach (var fact in seen)
        {
            var json = JsonSerializer.Serialize(fact, UndoJson.Default.GetTypeInfo(fact.GetType())!);
            var back = JsonSerializer.Deserialize(json, UndoJson.Default.GetTypeInfo(fact.GetType())!)!;
            Assert.Equal(json, JsonSerializer.Serialize(back, UndoJson.Default.GetTypeInfo(fact.GetType())!));
        }

        Assert.Contains("\"Verdict\":\"Cannot\"", JsonSerializer.Serialize((UndoRequested)seen[0], UndoJson.Default.UndoRequested), StringComparison.Ordinal);
    }
}
