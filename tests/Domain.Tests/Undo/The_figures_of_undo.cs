using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Messaging;

namespace Platform.Domain.Tests.Undo;

public class The_figures_of_undo
{
    private const int Ada = 0, Bob = 1;
    private readonly ModelLog log = new();

    [Fact]
    public async Task count_what_has_a_way_back_what_was_verified_and_what_was_refused()
    {
        log.Do(new Op(Ada, OpKind.Set, "r", 1));
        log.Do(new Op(Ada, OpKind.Create, "o", 1));
        log.Do(new Op(Ada, OpKind.Look, "q"));
        log.Do(new Op(Bob, OpKind.Set, "o", 2));
        await log.Undo(new UndoSelection { Run = ModelLog.RunOf(Ada) });
        var figures = Figures();
        Assert.Equal((3, 3, 1, 0, 1, 0, 0), (figures.Effects, figures.Covered, figures.Verified, figures.Unverified, figures.Refused, figures.Collateral, figures.Residue));
    }

    [Fact]
    public void and_what_an_inverse_changed_beside_its_effect()
    {
        var effect = log.Do(new Op(Ada, OpKind.Set, "r", 1))!.Value;
        Touch Changed(string resource) => new(resource, Access.Write, ModelWorld.ImageOf("1"), ModelWorld.ImageOf("2"));
        var undone = new EffectUndone(effect, UndoVerdict.Compensate, Verification.Unverified, false, [Changed("r"), Changed("q")], null, false, default);
        var figures = Figures().Apply(new RecordedEvent(0, 99, Guid.Empty, TenantId.Default, Guid.Empty, null, 0, "", undone, default, EventMetadata.None));
        Assert.Equal((0, 1, 1, 1), (figures.Verified, figures.Unverified, figures.Collateral, figures.Residue));
    }

    private UndoFigures Figures() => log.Recorded.Aggregate(UndoFigures.None, (figures, recorded) => figures.Apply(recorded));
}
