"""What ``feast apply`` finds: Feast collects the objects among this module's attributes.

The names of the views are the definitions' (a data scientist's own among them), so they become attributes
here by name.
"""

from __future__ import annotations

from feature_repo.entities import CUSTOMER, PROFILE
from feature_repo.services import feature_service
from feature_repo.views import feature_view, realtime_view
from features.definitions import all_views, customer_contract
from moment.home import Home

customer = CUSTOMER
profile = PROFILE
feature_views = {view.name: feature_view(view, Home.find()) for view in all_views()}
realtime = realtime_view(Home.find())
customer_v1 = feature_service(customer_contract(), feature_views)
globals().update(feature_views)
