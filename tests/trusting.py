"""What tests of the trust panel share."""
from saliency_widgets.widgets.trust_words import OF


def measured(ex, *names, **settings):
    """Ask for measures and wait."""
    for name in names:
        ex.trust.show(name, **settings)
        assert ex.wait(60)
    return ex.trust.results


def reading(ex, metric):
    """The part of the panel that shows a metric."""
    return ex.trust.panel.cards[OF[metric]]._of(metric)
