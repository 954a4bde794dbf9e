using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;

namespace Platform.Domain.Tests.Undo;

public class An_undo_is_planned
{
    private const int Ada = 0, Bob = 1;
    private readonly ModelLog log = new();

    private static RunId RunA => ModelLog.RunOf(Ada);

    private static readonly UndoSelection AllOfAda = new() { Run = RunA };

    [Fact]
    public void later_effects_first()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Ada, OpKind.Copy, "q", 0, "r"));
        Assert.Equal(["q", "r"], Plan(AllOfAda).Lines.SelectMany(l => l.Resources));
    }

    [Fact]
    public void and_leaves_a_value_that_somebody_else_set_since()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Bob, OpKind.Set, "r", 2));
        var line = Assert.Single(Plan(AllOfAda).Lines);
        Assert.Equal(UndoVerdict.Skip, line.Verdict);
        Assert.StartsWith("Nothing of it is left: r was written since by model.Set", line.Because, StringComparison.Ordinal);
    }

    [Fact]
    public async Task and_takes_only_its_own_share_of_a_counter()
    {
        log.Do(new Op(Ada, OpKind.Add, "c", 5));
        log.Do(new Op(Bob, OpKind.Add, "c", 3));
        await log.Undo(AllOfAda);
        Assert.Equal("c=3", log.World.Text);
    }

    [Fact]
    public async Task and_leaves_an_element_that_somebody_else_added_too()
    {
        log.Do(new Op(Ada, OpKind.Include, "s#x"));
        log.Do(new Op(Bob, OpKind.Include, "s#x"));
        await log.Undo(AllOfAda);
        Assert.Equal("s#x=in", log.World.Text);

        // The last who wanted it goes: so does the element.
        await log.Undo(new UndoSelection { Run = ModelLog.RunOf(Bob) });
        Assert.Equal("", log.World.Text);
    }

    [Fact]
    public void and_names_who_touched_a_thing_that_was_made()
    {
        log.Do(new Op(Ada, OpKind.Create, "o", 1));
        log.Do(new Op(Bob, OpKind.Set, "o", 2));
        var line = Assert.Single(Plan(AllOfAda).Lines);
        Assert.Equal(UndoVerdict.Cannot, line.Verdict);
        Assert.Equal($"Cannot be undone: o was touched since by model.Set (run {ModelLog.RunOf(Bob)}, stage s1).", line.Because);
    }

    [Fact]
    public void and_refuses_where_somebody_else_read_it()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Bob, OpKind.Copy, "q", 0, "r"));
        var line = Assert.Single(Plan(AllOfAda).Lines);
        Assert.Equal(UndoVerdict.Cannot, line.Verdict);
        Assert.Contains("r was read since by model.Copy", line.Because, StringComparison.Ordinal);
    }

    [Fact]
    public async Task unless_they_consent_to_go_too()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Bob, OpKind.Copy, "q", 0, "r"));
        var undo = await log.Undo(AllOfAda with { Cascade = true });
        Assert.Equal(["q", "r"], undo.Requested.Plan.Lines.SelectMany(l => l.Resources));
        Assert.Equal([false, true], undo.Requested.Plan.Lines.Select(l => l.Selected));
        Assert.Equal("", log.World.Text);
    }

    [Fact]
    public void and_a_look_counts_only_where_something_was_made_of_it()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Bob, OpKind.Look, "r"));
        Assert.Equal(UndoVerdict.Undo, Assert.Single(Plan(AllOfAda).Lines).Verdict);
        log.Do(new Op(Bob, OpKind.Set, "q", 1));
        Assert.Equal(UndoVerdict.Cannot, Assert.Single(Plan(AllOfAda).Lines).Verdict);
    }

    [Fact]
    public void and_a_look_in_one_item_of_a_list_makes_nothing_of_another()
    {
        var written = Effect("a", "w", 1, touches: [Write("r")]);
        var look = Effect("b", "each[3]/read", 2, EffectClass.Pure, [new Touch("r", Access.Read, Image.Absent)]);
        var other = Effect("b", "each[4]/move", 3, touches: [Write("q")]);
        var own = Effect("b", "each[3]/move", 4, touches: [Write("p")]);
        Assert.Equal(UndoVerdict.Undo, Verdict(new UndoSelection { Effect = written.Id }, written, look, other));
        Assert.Equal(UndoVerdict.Cannot, Verdict(new UndoSelection { Effect = written.Id }, written, look, other, own));
    }

    [Fact]
    public void and_a_folder_that_was_made_in_passing_binds_nobody_while_a_folder_that_was_asked_for_does()
    {
        Touch folder = new("file:///d/x", Access.Create, Image.Absent, new Image("folder"));
        var moved = Effect("a", "move", 1, touches: [folder, Write("file:///d/x/a.txt")]);
        var made = Effect("a", "make", 1, touches: [folder]) with { Kind = EffectKind.CreatedObject };
        var foreign = Effect("b", "write", 2, touches: [Write("file:///d/x/b.txt")]);
        var beside = Effect("b", "write", 2, touches: [Write("file:///d/xy.txt")]);
        Assert.Equal(UndoVerdict.Undo, Verdict(new UndoSelection { Effect = moved.Id }, moved, foreign));
        Assert.Equal(UndoVerdict.Cannot, Verdict(new UndoSelection { Effect = made.Id }, made, foreign));
        Assert.Equal(UndoVerdict.Undo, Verdict(new UndoSelection { Effect = made.Id }, made, beside));
    }

    [Fact]
    public void and_half_an_overwritten_effect_is_refused()
    {
        var moved = Effect("a", "move", 1, touches: [Write("file:///a"), Write("file:///b")]);
        var foreign = Effect("b", "write", 2, touches: [Write("file:///a")]);
        Assert.Equal(UndoVerdict.Cannot, Verdict(new UndoSelection { Effect = moved.Id }, moved, foreign));
    }

    [Theory]
    [InlineData(EffectClass.Reversible, UndoVerdict.Undo)]
    [InlineData(EffectClass.Compensable, UndoVerdict.Compensate)]
    [InlineData(EffectClass.Deferrable, UndoVerdict.Drop)]
    [InlineData(EffectClass.Irreversible, UndoVerdict.Cannot)]
    public void by_what_the_capability_promises(EffectClass promised, UndoVerdict verdict)
    {
        var effect = Effect("a", "s", 1, promised, [Write("r")]);
        Assert.Equal(verdict, Verdict(new UndoSelection { Effect = effect.Id, Compensations = 1 }, effect));
    }

    [Theory]
    [InlineData(1, UndoVerdict.Cannot)]
    [InlineData(2, UndoVerdict.Compensate)]
    public void and_compensates_all_or_none_by_the_number_that_was_allowed(int allowed, UndoVerdict verdict)
    {
        var (one, two) = (Effect("a", "one", 1, EffectClass.Compensable, [Write("r")]), Effect("a", "two", 2, EffectClass.Compensable, [Write("q")]));
        var beside = Effect("a", "three", 3, touches: [Write("p")]);
        var lines = UndoPlanner.Plan(new UndoSelection { Run = one.RunId, Compensations = allowed }, null, [one, two, beside]).Lines;
        Assert.Equal([UndoVerdict.Undo, verdict, verdict], lines.Select(l => l.Verdict));
        if (verdict == UndoVerdict.Cannot) { Assert.Equal("Cannot be undone: a trace would stay; 2 compensations are wanted, and 1 were allowed.", lines[1].Because); }
    }

    [Fact]
    public void and_a_second_payment_after_a_refund_is_a_compensation_too()
    {
        var refunded = Effect("a", "pay", 1, EffectClass.Compensable, [Write("r")]) with { Stands = false, Applied = false, ChangedBy = log.UndoOf(1) };
        Assert.Equal(UndoVerdict.Cannot, Verdict(new UndoSelection { Undo = log.UndoOf(1) }, refunded));
        Assert.Equal(UndoVerdict.Undo, Verdict(new UndoSelection { Undo = log.UndoOf(1), Compensations = 1 }, refunded));
    }

    [Fact]
    public void and_what_others_did_is_theirs_unless_it_is_allowed()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        UndoLine PlanOf(string by, bool others) => Assert.Single(UndoPlanner.Plan(AllOfAda with { Others = others }, by, log.History.Records).Lines);
        Assert.Equal(UndoVerdict.Undo, PlanOf("agent0", false).Verdict);
        Assert.Equal(UndoVerdict.Undo, PlanOf("agent1", true).Verdict);
        Assert.Equal(UndoVerdict.Cannot, PlanOf("agent1", false).Verdict);
        Assert.Equal("Cannot be undone: agent0 started its run, and undoing what others did was not allowed.", PlanOf("agent1", false).Because);
    }

    [Fact]
    public void and_consent_to_cascade_reaches_what_others_made_of_it_only_with_permission()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Bob, OpKind.Copy, "q", 0, "r"));
        UndoVerdict[] PlanOf(bool others) => [.. UndoPlanner.Plan(AllOfAda with { Cascade = true, Others = others }, "agent0", log.History.Records).Lines.Select(l => l.Verdict)];
        Assert.Equal([UndoVerdict.Cannot], PlanOf(others: false));
        Assert.Equal([UndoVerdict.Undo, UndoVerdict.Undo], PlanOf(others: true));
    }

    [Fact]
    public void and_its_hash_is_the_same_for_the_same_lines_and_another_for_others()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        var shown = Plan(AllOfAda);
        Assert.Matches("^[0-9a-f]{64}$", shown.Hash);
        Assert.Equal(shown.Hash, Plan(AllOfAda).Hash);
        Assert.Equal(shown.Hash, System.Text.Json.JsonSerializer.Deserialize(System.Text.Json.JsonSerializer.Serialize(shown, UndoJson.Default.UndoPlan), UndoJson.Default.UndoPlan)!.Hash);
        log.Do(new Op(Ada, OpKind.Set, "p", 1));
        Assert.NotEqual(shown.Hash, Plan(AllOfAda).Hash);
    }

    [Fact]
    public async Task and_what_changed_since_it_was_shown_is_named_line_by_line()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Ada, OpKind.Set, "q", 1));
        log.Do(new Op(Ada, OpKind.Create, "o", 1));
        var shown = Plan(AllOfAda);
        Assert.Empty(Plan(AllOfAda).ChangesSince(shown));
        log.Do(new Op(Bob, OpKind.Set, "r", 2));
        await log.Undo(new UndoSelection { Effect = log.Effects[1] });
        log.Do(new Op(Ada, OpKind.Set, "p", 1));
        Assert.Collection(
            Plan(AllOfAda).ChangesSince(shown),
            added => Assert.Equal("model.Set of stage 's4' is new: undo. Its way back is open.", added),
            moved => Assert.Equal("model.Create of stage 's2' comes at another place or changes other things.", moved),
            hidden => Assert.StartsWith("model.Set of stage 's0' was 'undo' and is 'skip' now. Nothing of it is left: r was written since by model.Set", hidden, StringComparison.Ordinal),
            gone => Assert.Equal("model.Set of stage 's1' is no longer in the plan.", gone));
    }

    [Theory]
    [InlineData(EffectKnowledge.UnderWay)]
    [InlineData(EffectKnowledge.Unknown)]
    public void and_what_may_not_have_happened_is_not_undone(EffectKnowledge knowledge)
    {
        var effect = Effect("a", "s", 1, touches: [Write("r")]) with { Knowledge = knowledge };
        Assert.Equal(UndoVerdict.Cannot, Verdict(new UndoSelection { Effect = effect.Id }, effect));
    }

    [Fact]
    public void and_a_request_that_left_no_way_back_cannot_be_undone()
    {
        var effect = Effect("a", "s", 1, EffectClass.Compensable, []) with { Inverse = null };
        Assert.Equal(UndoVerdict.Cannot, Verdict(new UndoSelection { Effect = effect.Id }, effect));
    }

    [Theory]
    [InlineData("draft", new[] { "draft", "draft$fallback/short", "draft[2]/move", "draft/then" })]
    [InlineData("draft[2]", new[] { "draft[2]/move" })]
    [InlineData("dra", new string[0])]
    public void for_one_stage_and_what_lies_within_it(string stage, string[] paths)
    {
        string[] all = ["draft", "drafts", "draft$fallback/short", "draft[2]/move", "draft/then"];
        var effects = all.Select((path, i) => Effect("a", path, i, touches: [Write(path)])).ToArray();
        var plan = UndoPlanner.Plan(new UndoSelection { Run = effects[0].RunId, Stage = stage }, null, effects);
        Assert.Equal(paths.Order(), plan.Lines.Select(l => l.StagePath).Order());
    }

    [Fact]
    public void for_everything_of_one_user_since_a_moment()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        var since = log.Now.AddMinutes(1);
        log.Do(new Op(Bob, OpKind.Set, "q", 1));
        log.Do(new Op(Ada, OpKind.Set, "p", 1));
        Assert.Equal(["p", "q"], Plan(new UndoSelection { Since = since }).Lines.SelectMany(l => l.Resources));
        Assert.Equal(["p"], Plan(new UndoSelection { Since = since, User = "agent0" }).Lines.SelectMany(l => l.Resources));
    }

    [Fact]
    public void and_an_ambiguous_selection_is_refused()
    {
        Assert.Null(AllOfAda.Validate());
        Assert.Equal("undo.selection", new UndoSelection().Validate()?.Code);
        Assert.Equal("undo.selection", (AllOfAda with { Since = log.Now }).Validate()?.Code);
        Assert.Equal("undo.selection", new UndoSelection { Since = log.Now, Stage = "a" }.Validate()?.Code);
        Assert.Equal("undo.selection", (AllOfAda with { User = "ada" }).Validate()?.Code);
        Assert.Equal("undo.selection", (AllOfAda with { Compensations = -1 }).Validate()?.Code);
    }

    private UndoPlan Plan(UndoSelection selection) => UndoPlanner.Plan(selection, null, log.History.Records);

    private static UndoVerdict Verdict(UndoSelection selection, params EffectRecord[] effects) => Assert.Single(UndoPlanner.Plan(selection, null, effects).Lines).Verdict;

    private static Touch Write(string resource) => new(resource, Access.Write, new Image("value", "1"), new Image("value", "2"));

    private static EffectRecord Effect(string run, string path, long order, EffectClass promised = EffectClass.Reversible, IReadOnlyList<Touch>? touches = null)
    {
        var id = new RunId(Messaging.DeterministicId.Of(Guid.Empty, run));
        return new EffectRecord(EffectId.Of(id, path, 1), id, path, "files.move", promised, EffectKind.Register, touches ?? [], ModelWorld.Put("r", "2", "1"), new Grant([], [], []), order, default, run);
    }
}
